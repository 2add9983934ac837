# frozen_string_literal: true

require_relative "comparison"
require_relative "family"
require_relative "flow_control"
require_relative "generator"
require_relative "operations"
require_relative "world"

module ModelTest
  # One seed: templates, tasks, and a sequence of operations from several connections, each
  # compared with the model. Everything that is random comes from the seed and nothing depends on
  # ids, tokens or the time of day, so the same seed does the same again.
  class Scenario
    include Operations

    # Invariant 7: no setting of a session makes a difference.
    SETTINGS = [
      {},
      { TimeZone: "Asia/Tokyo", search_path: "tasker_model_hostile, pg_catalog" },
      { TimeZone: "America/Lima", search_path: "", standard_conforming_strings: "off", DateStyle: "ISO, DMY" },
      { TimeZone: "Asia/Kathmandu", search_path: "tasker_model_hostile, tasker, pg_catalog", IntervalStyle: "iso_8601" }
    ].freeze

    # A run longer than this could let seconds decide what is due.
    LONGEST = 100

    # The so-and-so-many-eth task that ran for a step; it belongs to whoever its parent belongs to.
    CHILD = <<~SQL
      SELECT c.task_id FROM tasker.tasks c, tasker.tasks p
      WHERE c.parent_step_id = $1::bigint AND p.task_id = $1::bigint / 1000000 AND c.parent_correlation_id = p.correlation_id
        AND c.initiator IS NOT DISTINCT FROM p.initiator AND c.created_by = p.created_by AND c.created_as IS NOT DISTINCT FROM p.created_as
      ORDER BY c.task_id OFFSET $2::int - 1 LIMIT 1
    SQL

    attr_reader :log, :operations, :tally

    def initialize(url, seed)
      @seed = seed
      @random = Random.new(seed)
      @generator = Generator.new(@random)
      @sessions = SETTINGS.each_with_index.map { |settings, i| Session.new("c#{i + 1}", Server.new(url, **settings)) }
      @world = World.new
      @claims = []
      @offset = 0
      @order = 0
      @log = []
      @operations = 0
      @tally = Tally.new
      @started = monotonic
      @base = Server.microseconds(plain.value("SELECT clock_timestamp()::text"))
    end

    # How often what was seen of limits.
    def limit_counts = @flow&.counts

    # @raise [Disagreement]
    def run(steps)
      register_templates
      greet
      3.times { random_create_many(@sessions.first) } if @focus > 0.5 # a line before every limit
      4.times { |i| random_create(@sessions[i]) }
      steps.times { step }
      drain
    ensure
      @sessions.each { |session| session.server.close }
    end

    private

    def plain = @sessions.first.server
    def monotonic = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    def chance(probability) = @random.rand < probability
    def pick(list) = @generator.pick(list)

    # ---- time ----------------------------------------------------------------

    # The instant of an operation that begins now.
    def now
      elapsed = monotonic - @started
      raise "a scenario takes more than #{LONGEST} s: fewer steps, and more seeds" if elapsed > LONGEST

      @order += 1
      Moment.new(Instant.new(@offset, @order, @base + ((@offset + elapsed) * 1_000_000).to_i))
    end

    # A time of the test clock, to be given as an argument.
    def appointment(seconds)
      at = @base + (@offset + seconds) * 1_000_000
      instant = Instant.new(@offset + seconds, 0, at)
      instant.agrees?(at)
      [Moment.new(instant), Time.at(at / 1_000_000, at % 1_000_000, :usec).utc.strftime("%F %T.%6N+00")]
    end

    def move_clock(seconds)
      @offset += seconds
      note("-", "clock #{seconds} s on", @offset)
      @sessions.each { |session| set_clock(session) }
      @world.handles.each { |handle| compare(pick(@sessions), handle) if chance(0.15) }
    end

    def set_clock(session) = session.server.set("tasker_core.clock_offset", @offset)

    # ---- the beginning -------------------------------------------------------

    def register_templates
      limit_maps
      @focus = [0.1, 0.1, 0.05, 0.8][@seed % 4] # how much of it is about limits
      @templates = %w[alpha beta].flat_map do |name|
        space = "model #{@seed} #{name}"
        [@generator.template(space, "one", "1.0.0"), @generator.template(space, "two", "0.9.0"),
         @generator.template(space, "two", "0.10.0")]
      end
      @templates += %w[gamma delta].map { |name| @generator.template_with_batches("model #{@seed} #{name}", "batches", "1.0.0") }
      @templates += @generator.nested_templates("model #{@seed} nested") unless @bytes
      @templates += limited_templates("model #{@seed} limited")
      @wanted = @templates + @templates.select { |template| theme?(template) } * 6
      @numbers = @templates.to_h { |template| [template, register(template)] }
      @sessions.each { |session| session.server.set("tasker_core.max_nesting", Family::DEEPEST) }
      @family = Family.new(@world, @numbers, @tally, width: @width) { |*which| plain.value(CHILD, which) }
      @flow = FlowControl.new(@world, @templates, plain, @random)
    end

    # One seed in four is about batches, one about sub-workflows, and one about limits.
    def theme?(template)
      case @seed % 4
      when 1 then template.name == "batches"
      when 2 then template.nested && template.name != "leaf"
      end
    end

    # In some seeds they may be no wider, or no larger, than some of them are. How large what passes from a task to
    # another is, is not known.
    def limit_maps
      @width = pick([nil, nil, 3, 2])
      @bytes = pick([nil, nil, 1024]) unless @seed % 4 == 2
      @sessions.each do |session|
        session.server.set("tasker_core.max_map_width", @width) if @width
        session.server.set("tasker_core.max_payload_size", "#{@bytes}B") if @bytes
      end
    end

    def limited_templates(space)
      older = @generator.limited_template(space, "two", "0.9.0")
      newer = chance(0.7) ? @generator.limited_anew(older, "0.10.0") : @generator.limited_template(space, "two", "0.10.0")
      [@generator.limited_template(space, "one", "1.0.0"), older, newer]
    end

    # @return [Hash{String => Integer}] step_no by name
    def register(template)
      document = Json.new(@generator.document(template))
      id = plain.value("SELECT named_task_id FROM tasker.register_task_template($1)", [document])
      numbers = plain.rows("SELECT name, step_no FROM tasker.named_steps WHERE named_task_id = $1::int", [id])
                     .to_h { |row| [row[:name], row[:step_no]] }
      ordered = template.steps.all? { |step| step.parents.all? { |parent| numbers[parent] < numbers[step.name] } }
      raise Disagreement, "step_no is no topological order: #{numbers}" unless ordered

      numbers
    end

    # Workers are known from here on: two open transactions that both introduce one would wait.
    def greet
      @sessions.each { |session| session.server.rows("SELECT * FROM tasker.claim_steps($1, 0)", [session.worker]) }
    end

    # ---- one step ------------------------------------------------------------

    def step
      session = pick(@sessions)
      return end_transaction(session) if session.open? && chance(0.3)

      begin_transaction(session) if !session.open? && chance(0.12 * (1 - @focus))
      session.open? ? in_savepoint(session) { operate(session) } : operate(session)
      bystander = pick(@world.handles) if chance(0.2)
      compare(pick(@sessions), bystander) if bystander
    end

    def begin_transaction(session)
      session.server.run("BEGIN")
      session.begin
      note(session, "begin")
    end

    def end_transaction(session)
      touched = @world.handles.select { |handle| handle.owner == session }
      if chance(0.65)
        session.server.run("COMMIT")
        @world.commit(session)
        note(session, "commit")
      else
        session.server.run("ROLLBACK")
        @world.roll_back(session)
        set_clock(session)      # what was set meanwhile went with it
        note(session, "rollback")
      end
      check(touched)
    end

    # A refusal does not end the transaction; and some operations are taken back.
    def in_savepoint(session)
      session.server.run("SAVEPOINT one_operation")
      snapshot = @world.snapshot(session)
      refused = yield
      if refused || chance(0.1)
        session.server.run("ROLLBACK TO one_operation")
        @world.restore(session, snapshot)
        set_clock(session)
        note(session, "rollback to savepoint")
        check(@world.handles.select { |handle| handle.owner == session }, session)
      end
      session.server.run("RELEASE one_operation")
    end

    # ---- the end -------------------------------------------------------------

    # Whatever happened: with every pause over, all work done and enough time, every task ends.
    def drain
      @tally.close
      @draining = true
      @sessions.each { |session| end_transaction(session) if session.open? }
      @flow.verify
      session = @sessions.first
      @world.holds.to_a.each { |place| hold(place, false) }
      @world.visible(session).each { |handle| resume(session, handle) if @world.task(session, handle).paused }
      200.times do
        break if active(session).empty?

        move_clock(86_400)
        active(session).each { |handle| finish_ready_steps(session, handle) }
      end
      raise Disagreement, "tasks that never end: #{active(session).join(", ")}" unless active(session).empty?

      check(@world.visible(session))
      claim(session, { namespaces: [@templates.last.namespace] }, 1, 600) # so that other seeds find no key due
    end

    def active(session)
      @world.visible(session).select { |handle| %w[pending in_progress].include?(@world.task(session, handle).state) }
    end

    def finish_ready_steps(session, handle)
      waiting = @world.task(session, handle).steps.values.select(&:wait)
      waiting.each { |step| send_signal(session, handle, step.definition.signal[:name]) }
      claimed = claim(session, { task_id: handle }, 100, 600)
      complete_batch(session, claimed.map { |held| [held, last_result(held)] }) unless claimed.empty?
    end

    def last_result(held)
      return some_outcome(held, spoilt: false) if handle_step(held)&.batches

      decision = handle_step(held)&.decision
      Json.new(decision ? { "branches" => [] } : "drained")
    end

    def handle_step(held) = held.handle.template.steps.find { |step| step.name == held.name }

    # ---- comparing -----------------------------------------------------------

    def check(handles, session = nil)
      handles.each { |handle| compare(session || pick(@sessions), handle) }
      @flow.compare(now) if handles.any? { |handle| handle.template.limited? } && chance(0.4)
    end

    def compare(session, handle)
      comparison = TaskComparison.new(session.server, handle, @random)
      task = @world.task(session, handle)
      return comparison.unknown if task.nil?

      comparison.with(task, now)
      comparison.graph(task, now) if chance(0.1)
    end

    def note(session, text, answer = nil)
      @log << format("%4d %s %s%s", @log.size + 1, session, text, answer.nil? ? "" : " -> #{answer}")
    end
  end
end
