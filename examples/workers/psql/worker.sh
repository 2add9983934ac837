#!/bin/sh
# Runs worker.sql until there is nothing to do; with --forever it waits and goes on.
#   DATABASE_URL=postgresql:///shop ./worker.sh
cd "$(dirname "$0")" || exit 1
while said=$(psql -XqAt -d "${DATABASE_URL:?names the database}" -f worker.sql); do
  case $said in
    *worked*) ;;
    *) [ "$1" = --forever ] || exit 0
       sleep 5 ;;
  esac
done
exit 1
