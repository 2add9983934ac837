# frozen_string_literal: true

require_relative "comparison"
require_relative "generator"

module ModelTest
  # Names that would catch every call that does not say pg_catalog or tasker.
  module HostileSchema
    module_function

    def create(server)
      server.run(<<~SQL)
        DROP SCHEMA IF EXISTS tasker_model_hostile CASCADE;
        CREATE SCHEMA tasker_model_hostile;
        #{functions}
        #{operators}
        #{relations}
      SQL
    end

    FUNCTIONS = {
      "clock_timestamp()" => "timestamptz", "now()" => "timestamptz", "unnest(bigint[])" => "SETOF bigint",
      "set_config(text, text, boolean)" => "text", "current_setting(text)" => "text", "nextval(regclass)" => "bigint",
      "to_jsonb(anyelement)" => "jsonb"
    }.freeze
    RELATIONS = %w[tasks step_queue step_attempts step_moves named_tasks named_steps named_step_edges lanes workers
                   pg_class].freeze
    CAUGHT = "LANGUAGE plpgsql AS " \
             "$$ BEGIN RAISE EXCEPTION 'a name was looked up in the search_path of the caller'; END $$"

    def functions
      FUNCTIONS.map { |signature, type| "CREATE FUNCTION tasker_model_hostile.#{signature} RETURNS #{type} #{CAUGHT};" }
               .join("\n")
    end

    def operators
      %w[int bigint text timestamptz].flat_map do |type|
        %w[= <> < <= > >= + -].each_with_index.map do |operator, i|
          name = "tasker_model_hostile.#{type}_#{i}"
          <<~SQL
            CREATE FUNCTION #{name}(#{type}, #{type}) RETURNS boolean #{CAUGHT};
            CREATE OPERATOR tasker_model_hostile.#{operator}
              (LEFTARG = #{type}, RIGHTARG = #{type}, FUNCTION = #{name});
          SQL
        end
      end.join
    end

    def relations = RELATIONS.map { |name| "CREATE TABLE tasker_model_hostile.#{name} (caught int);" }.join("\n")
  end

  # Readiness, context and verification of random tasks, asked under several settings: the same
  # rows, to the microsecond.
  class SettingsTest
    TASKS = 25
    SETTINGS = {
      "TimeZone Asia/Tokyo" => { TimeZone: "Asia/Tokyo" },
      "TimeZone America/Lima" => { TimeZone: "America/Lima" },
      "other DateStyle and strings" => { DateStyle: "ISO, YMD", standard_conforming_strings: "off" },
      "a hostile search_path" => { search_path: "tasker_model_hostile, pg_catalog" },
      "an empty search_path" => { search_path: "" }
    }.freeze
    QUESTIONS = [TaskComparison::READINESS, TaskComparison::CONTEXT, TaskComparison::STEPS,
                 TaskComparison::VERIFY].freeze

    def initialize(url)
      @url = url
    end

    def each
      SETTINGS.each { |name, settings| yield "the same answers under #{name}", -> { compare(settings) } }
    end

    private

    def compare(settings)
      plain = Server.new(@url)
      other = Server.new(@url, **settings)
      tasks.each do |task_id|
        QUESTIONS.each do |sql|
          Comparison.rows("#{sql} [#{task_id}]", plain.rows(sql, [task_id]), other.rows(sql, [task_id]))
        end
      end
      nil
    ensure
      plain&.close
      other&.close
    end

    # Made once: tasks of random shape, some steps of each complete, failed or waiting.
    def tasks
      @tasks ||= begin
        server = Server.new(@url)
        random = Random.new(20)
        ids = Array.new(TASKS) { |i| half_run_task(server, random, "model settings #{i}") }
        server.close
        ids
      end
    end

    def half_run_task(server, random, namespace)
      generator = Generator.new(random)
      template = generator.template(namespace, "t", "1.0.0", plain: true)
      server.rows("SELECT * FROM tasker.register_task_template($1)", [Json.new(generator.document(template))])
      task_id = server.value("SELECT task_id FROM tasker.create_task('t', namespace => $1)", [namespace])
      random.rand(6).times { work(server, random, task_id) }
      task_id
    end

    def work(server, random, task_id)
      claims = server.rows("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('s', 3, task_id => $1)",
                           [task_id])
      claims.each do |claim|
        next if random.rand < 0.2

        verb = random.rand < 0.7 ? "complete_step" : "fail_step"
        server.rows("SELECT * FROM tasker.#{verb}($1, $2, $3)", [*claim.values, Json.new("x")])
      end
    end
  end
end
