# frozen_string_literal: true

require "optparse"
require_relative "../tasker_core"
require_relative "operator"
require_relative "cli/output"
require_relative "cli/commands"

module TaskerCore
  # The command line: `tasker worker|register|check|version`.
  module CLI
    OK = 0
    FORCED = 1
    USAGE = 2
    EXTENSION = 3
    UNREACHABLE = 4
    NOT_FOUND = 5
    REFUSED = 6
    DENIED = 7

    USAGE_TEXT = <<~TEXT
      Usage: tasker COMMAND [options]

      Commands:
        worker              run steps of the templates that the file of -r registers
        register PATH...    register template files or directories with the database
        check               test the database, the extension and the handlers
        version             print the version
        task, step, template, events, dead-letters, health, doctor, access, maintenance,
        dashboard, completion
                            what operators use: tasker help COMMAND lists them

      tasker COMMAND --help lists a command's options. The database is --url, TASKER_URL,
      DATABASE_URL, or what libpq's own variables name.

      Exit status: 0 clean, 1 cut short or failed, 2 wrong usage or configuration,
      3 extension missing or incompatible, 4 database unreachable at the start, 5 no such task,
      step, template or schedule, 6 its state does not allow this, 7 permission denied.
    TEXT

    # Ends the command with a status and a message.
    class Quit < StandardError
      attr_reader :status

      def initialize(status, message = nil)
        super(message)
        @status = status
      end
    end
    private_constant :Quit

    class << self
      # Runs the command and ends the process with its status. After a forced
      # shutdown handlers still run: neither their ensure blocks nor at_exit may
      # hold up the end of the process.
      def start(argv)
        status = run(argv)
        $stdout.flush
        $stderr.flush
        status == FORCED ? exit!(status) : exit(status)
      end

      # @param argv [Array<String>]
      # @return [Integer] exit status
      def run(argv, out: $stdout, err: $stderr)
        arguments = argv.dup
        case arguments.shift
        when "worker" then worker(arguments, out)
        when "register" then register(arguments, out, err)
        when "check" then check(arguments, out)
        when "version", "--version", "-v" then print(out, "tasker_core #{VERSION}")
        when "help", "--help", "-h" then help(arguments, out)
        else operate(argv.dup, out, err)
        end
      rescue Quit => e
        (e.status == OK ? out : err).puts(e.message)
        e.status
      rescue OptionParser::ParseError, ConfigurationError => e
        fail_with(err, USAGE, e.message)
      rescue InvalidTemplate, TemplateConflict => e
        fail_with(err, USAGE, e.explanation)
      rescue ExtensionMissing, IncompatibleExtension => e
        fail_with(err, EXTENSION, e.explanation)
      rescue ConnectionError => e
        fail_with(err, UNREACHABLE, e.message)
      rescue TemplateNotFound, TaskNotFound, StepNotFound, ObjectNotFound => e
        fail_with(err, NOT_FOUND, e.explanation)
      rescue IllegalTransition, TaskNotActive => e
        fail_with(err, REFUSED, e.explanation)
      rescue PermissionDenied => e
        fail_with(err, DENIED, e.explanation)
      rescue DatabaseError => e
        fail_with(err, FORCED, e.explanation)
      rescue Interrupt
        130
      rescue Errno::EPIPE
        OK # whoever read has seen enough
      end

      private

      def operate(arguments, out, err)
        command = Commands.take(arguments)
        return Commands.run(command, arguments, out) if command

        err.puts(Commands.group?(arguments.first) ? "Usage: tasker #{arguments.first} ...\n\n#{Commands.summary(arguments.first)}" : USAGE_TEXT)
        USAGE
      end

      def help(arguments, out)
        print(out, arguments.empty? ? USAGE_TEXT : Commands.summary(arguments.first))
      end

      def print(out, text)
        out.puts(text)
        OK
      end

      def fail_with(err, status, message)
        err.puts("tasker: #{message}")
        status
      end

      def worker(arguments, out)
        out.sync = true if out.respond_to?(:sync=)
        options = { log: {} }
        parse(arguments, "worker [options]") { |parser| worker_options(parser, options) }
        no_arguments(arguments)
        log = Log.open(out, level: options[:log].fetch(:level, "info"), format: options[:log].fetch(:format, "text"))
        TaskerCore.log = log
        prepare(options)
        Worker.new(log: log, **options.slice(*WORKER_KEYWORDS)).run(signals: true)
      end

      WORKER_KEYWORDS = %i[concurrency namespaces poll_interval lease shutdown_timeout listen listen_url max_steps
                           health_port health_host register].freeze
      private_constant :WORKER_KEYWORDS

      def worker_options(parser, options)
        common_options(parser, options)
        parser.on("-c", "--concurrency N", Integer, "handler threads (5)") { |n| options[:concurrency] = n }
        parser.on("-n", "--namespaces A,B", Array, "only these namespaces") { |list| options[:namespaces] = list }
        parser.on("-i", "--poll-interval SEC", Float, "between looks when nothing is heard (5)") do |seconds|
          options[:poll_interval] = seconds
        end
        parser.on("--[no-]listen", "listen for notifications beside polling") { |on| options[:listen] = on }
        parser.on("--listen-url URL", "a direct connection for it") { |url| options[:listen_url] = url }
        parser.on("--lease SEC", Float, "how long a claim lasts without a heartbeat (60)") do |seconds|
          options[:lease] = seconds
        end
        parser.on("--shutdown-timeout SEC", Float, "for handlers to finish after TERM (25)") do |seconds|
          options[:shutdown_timeout] = seconds
        end
        parser.on("--max-steps N", Integer, "stop after so many steps") { |n| options[:max_steps] = n }
        parser.on("--health-port PORT", Integer, "answer GET /livez, /readyz, /metrics there") do |port|
          options[:health_port] = port
        end
        parser.on("--health-host ADDRESS", "on this address (127.0.0.1)") do |address|
          options[:health_host] = address
        end
        parser.on("--[no-]register", "register the templates at the start") { |on| options[:register] = on }
        parser.on("-l", "--log-level LEVEL", Log::LEVELS, Log::LEVELS.join(", ")) do |level|
          options[:log][:level] = level
        end
        parser.on("--log-format FORMAT", Log::FORMATS, Log::FORMATS.join(", ")) do |format|
          options[:log][:format] = format
        end
      end

      def register(arguments, out, err)
        options = { env: Template.default_env }
        parse(arguments, "register [options] PATH...") do |parser|
          url_option(parser, options)
          parser.on("-e", "--env NAME", "which of the templates' environments to merge") { |env| options[:env] = env }
        end
        raise Quit.new(USAGE, "tasker: register needs the path of a template file or directory") if arguments.empty?

        templates = arguments.flat_map { |path| Template.load(path, env: options[:env]) }
        connect(options)
        TaskerCore.client.check_extension
        templates.each { |template| register_one(template, out, err) }
        OK
      end

      def register_one(template, out, err)
        result = TaskerCore.client.register_task_template(template)
        result.warnings&.each { |warning| err.puts("#{template.path || template.full_name}: warning: #{warning}") }
        out.puts("#{result.namespace}/#{result.name} #{result.version}: " \
                 "#{result.created? ? "registered" : "unchanged"} (id #{result.named_task_id})")
      rescue InvalidTemplate, TemplateConflict => e
        raise Quit.new(USAGE, "tasker: #{template.path || template.full_name}: #{e.explanation}")
      end

      def check(arguments, out)
        options = {}
        parse(arguments, "check [options]") { |parser| common_options(parser, options) }
        no_arguments(arguments)
        connect(options)
        client = TaskerCore.client
        version = client.check_extension
        out.puts("database   ok")
        out.puts("extension  #{version}, library #{client.library_version}, gem #{VERSION}")
        load_application(options[:require]) if options[:require]
        TaskerCore.registry.to_a.each do |handler|
          out.puts("template   #{handler.template.full_name} #{handler.template.version}: " \
                   "#{handler.step_handlers.size} handlers")
        end
        OK
      end

      def parse(arguments, banner)
        OptionParser.new("Usage: tasker #{banner}") do |parser|
          yield parser
          parser.on("-h", "--help", "show this") { raise Quit.new(OK, parser.help) }
        end.parse!(arguments)
      end

      def url_option(parser, options)
        parser.on("--url URL", "the database: URL or conninfo string") { |url| options[:url] = url }
      end

      def common_options(parser, options)
        url_option(parser, options)
        parser.on("-r", "--require FILE", "file that registers templates and handlers") do |file|
          options[:require] = file
        end
      end

      def no_arguments(arguments)
        raise Quit.new(USAGE, "tasker: unexpected argument: #{arguments.join(" ")}") unless arguments.empty?
      end

      def prepare(options)
        connect(options)
        load_application(options[:require]) if options[:require]
        return unless TaskerCore.registry.empty?

        raise Quit.new(USAGE, "tasker: no template is registered; -r FILE must name a file that calls " \
                              "TaskerCore.register")
      end

      def connect(options)
        TaskerCore.connection = options[:url] if options[:url]
      end

      # Whatever the file raises is told with its place in the file.
      def load_application(file)
        require File.expand_path(file)
      rescue Error
        raise
      rescue StandardError, ScriptError => e
        raise Quit.new(USAGE, "tasker: #{file}: #{e.class}: #{e.message}\n  #{e.backtrace&.first}")
      end
    end
  end
end

require_relative "cli/task_commands"
require_relative "cli/watch"
require_relative "cli/step_commands"
require_relative "cli/template_commands"
require_relative "cli/schedule_commands"
require_relative "cli/system_commands"
require_relative "cli/doctor"
require_relative "cli/dashboard_command"
require_relative "cli/completion"
