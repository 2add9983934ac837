# frozen_string_literal: true

module TaskerCore
  module CLI
    # Completion scripts, made from the table of commands.
    module Completion
      # Commands that are not in the table.
      OTHERS = { "worker" => %w[--concurrency --namespaces --poll-interval --listen --no-listen --listen-url --lease
                                --shutdown-timeout --max-steps --register --no-register --log-level --log-format
                                --require --url --help],
                 "register" => %w[--env --url --help], "check" => %w[--require --url --help],
                 "version" => [], "help" => [] }.freeze

      class << self
        # @param shell [String] bash or zsh
        # @return [String]
        # @raise [OptionParser::InvalidArgument]
        def script(shell)
          case shell
          when "bash" then bash
          when "zsh" then "#compdef tasker\nautoload -U +X bashcompinit && bashcompinit\n#{bash}"
          else raise OptionParser::InvalidArgument, "#{shell}: a script can be had for bash and zsh"
          end
        end

        private

        # What may follow which words, as one case statement.
        def bash
          <<~BASH
            _tasker() {
              local current=${COMP_WORDS[COMP_CWORD]} words
              case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in
            #{options_of_commands}
                *) words= ;;
              esac
              if ((COMP_CWORD == 1)); then
                words='#{first_words.join(" ")}'
              elif ((COMP_CWORD == 2)); then
                case ${COMP_WORDS[1]} in
            #{second_words}
                esac
              fi
              COMPREPLY=($(compgen -W "$words" -- "$current"))
              if [[ $current != -* && ${#COMPREPLY[@]} -eq 0 ]]; then COMPREPLY=($(compgen -f -- "$current")); fi
            }
            complete -F _tasker tasker
          BASH
        end

        def first_words = (Commands::TABLE.keys.map(&:first) + OTHERS.keys).uniq.sort

        def options_of_commands
          table = Commands::TABLE.values.map do |command|
            flags = (command.options + Commands::COMMON).flat_map(&:flags) + ["--help"]
            pattern = command.words.size == 1 ? "\"#{command.name} \"*" : "'#{command.name}'"
            [pattern, flags.select { |flag| flag.start_with?("--") }]
          end
          others = OTHERS.map { |name, flags| ["\"#{name} \"*", flags] }
          (table + others).sort_by { |pattern, _| pattern.start_with?("'") ? 0 : 1 }
                          .map { |pattern, flags| "    #{pattern}) words='#{flags.join(" ")}' ;;" }.join("\n")
        end

        def second_words
          groups = Commands::TABLE.keys.select { |words| words.size == 2 }.group_by(&:first)
          groups.map { |first, list| "      #{first}) words='#{list.map(&:last).join(" ")}' ;;" }.join("\n")
        end
      end
    end
  end
end
