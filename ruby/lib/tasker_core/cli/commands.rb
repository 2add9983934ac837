# frozen_string_literal: true

module TaskerCore
  module CLI
    # The operators' commands, as a table: words, arguments, options and what each does. Help and
    # the completion scripts are made from the same table.
    module Commands
      # An option: what OptionParser#on is given.
      Option = Struct.new(:key, :spec, :type, :text, keyword_init: true) do
        # @return [Array<String>] as one types it
        def flags = spec.flat_map { |part| part.scan(/-{1,2}[\w-]+/) + part.scan(/\[no-\](\w[\w-]*)/).map { |(n)| "--no-#{n}" } }
                        .map { |flag| flag.sub("--[no-]", "--") }.uniq - ["--"]
      end

      # A command; the block is run with a {Context}.
      Command = Struct.new(:words, :arguments, :text, :options, :action, keyword_init: true) do
        def name = words.join(" ")

        # @return [Range] how many arguments it takes
        def arity
          required = arguments.count { |argument| !argument.start_with?("[") }
          required..(arguments.last.to_s.end_with?("...") ? 1_000_000 : arguments.size)
        end

        def usage = ["tasker", *words, "[options]", *arguments].join(" ")
      end

      # What a command works with.
      Context = Struct.new(:operator, :arguments, :options, :out, keyword_init: true) do
        # @return [Integer] the first argument as an id
        def task_id(position = 0)
          Integer(arguments.fetch(position), 10)
        rescue ArgumentError
          raise OptionParser::InvalidArgument, "#{arguments.fetch(position)} is no task id"
        end

        # @return [Integer] a step, by id or TASK:NAME
        def step_id(position = 0) = operator.step_id(arguments.fetch(position))

        # @return the value of an argument or option that is JSON; "@FILE" reads it from a file, "-" from stdin
        def json(text)
          text = $stdin.read if text == "-"
          text = File.read(text.delete_prefix("@")) if text.start_with?("@")
          JSON.parse(text)
        rescue JSON::ParserError => e
          raise OptionParser::InvalidArgument, "no JSON: #{e.message.lines.first.to_s.chomp[0, 200]}"
        rescue SystemCallError => e
          raise OptionParser::InvalidArgument, e.message
        end
      end

      TABLE = {} # rubocop:disable Style/MutableConstant -- filled below, frozen at the end of the last file
      COMMON = [
        Option.new(key: :url, spec: ["--url URL"], type: String, text: "the database: URL or conninfo string"),
        Option.new(key: :json, spec: ["--json"], type: nil, text: "JSON instead of a table")
      ].freeze

      class << self
        # @param name [String] words, then arguments in capitals
        # @param options [Hash{Symbol => Array}] key => specs, then type, then text
        def command(name, text, **options, &action)
          words, arguments = name.split.partition { |word| word.match?(/\A[a-z]/) }
          list = options.map do |key, (*spec, type, said)|
            Option.new(key: key, spec: spec, type: type, text: said)
          end
          TABLE[words] = Command.new(words: words, arguments: arguments, text: text, options: list, action: action)
        end

        # @return [Command, nil] with its words taken off the arguments
        def take(arguments)
          [2, 1].each do |count|
            found = TABLE[arguments.first(count)]
            return found.tap { arguments.shift(count) } if found && arguments.size >= count
          end
          nil
        end

        # @return [Boolean] whether the word begins a command
        def group?(word) = TABLE.each_key.any? { |words| words.first == word }

        # @return [Integer] exit status
        def run(command, arguments, out)
          options = {}
          parser = parser_of(command, options)
          parser.parse!(arguments)
          unless command.arity.cover?(arguments.size)
            raise OptionParser::ParseError, "#{command.name} takes #{command.arguments.join(" ")}".strip
          end

          TaskerCore.connection = options[:url] if options[:url]
          context = Context.new(operator: Operator.new(TaskerCore.client), arguments: arguments, options: options,
                                out: Output.new(out, json: options[:json]))
          status = command.action.call(context)
          status.is_a?(Integer) ? status : OK
        end

        # @return [String] one line a command
        def summary(first_word = nil)
          chosen = TABLE.values.select { |command| first_word.nil? || command.words.first == first_word }
          chosen.map { |command| format("  %-42s %s\n", [*command.words, *command.arguments].join(" "), command.text) }.join
        end

        private

        def parser_of(command, options)
          OptionParser.new("Usage: #{command.usage}\n\n#{command.text}\n\n") do |parser|
            (command.options + COMMON).each do |option|
              parser.on(*option.spec, *[option.type].compact, option.text) { |value| options[option.key] = value }
            end
            parser.on("-h", "--help", "show this") { raise Quit.new(OK, parser.help) }
          end
        end
      end
    end
  end
end
