# frozen_string_literal: true

# The libraries a team may already have, connected to the tests' database.
module Pools
  module_function

  # Their own warnings are not ours.
  def quietly
    verbose = $VERBOSE
    $VERBOSE = nil
    yield
  ensure
    $VERBOSE = verbose
  end

  # @return [Boolean] whether they could be loaded
  def load(*libraries)
    quietly { libraries.each { |library| require library } }
    true
  rescue LoadError
    false
  end

  # @return [Hash] libpq parameters of the tests' database
  def parameters
    PG::Connection.conninfo_parse(DatabaseTest::URL)
                  .filter_map { |option| [option[:keyword].to_sym, option[:val]] if option[:val] }.to_h
  end

  def active_record
    names = { user: :username, dbname: :database }
    options = parameters.transform_keys { |key| names.fetch(key, key) }.slice(:host, :port, :username, :password, :database)
    quietly { ActiveRecord::Base.establish_connection(adapter: "postgresql", pool: 5, **options) }
  end

  def sequel
    names = { dbname: :database }
    options = parameters.transform_keys { |key| names.fetch(key, key) }.slice(:host, :port, :user, :password, :database)
    quietly { Sequel.postgres(**options, max_connections: 3) }
  end
end
