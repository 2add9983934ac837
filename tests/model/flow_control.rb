# frozen_string_literal: true

require_relative "comparison"
require_relative "limits"

module ModelTest
  # What claims do where steps have limits, and what the view of limits shows. Which steps a claim meets, and so puts
  # aside, is open as long as it gets all it asked for; which rows come out first is not. So what became of each is
  # looked up after the claim, and has to be something that may become of it.
  class FlowControl
    # Steps that are claimed or wait, aside or not.
    QUEUE = "SELECT task_id * 1000000 + step_no AS id, lane_id, phase, visible_at FROM tasker.step_queue " \
            "WHERE task_id = ANY ($1::bigint[]) AND phase IN ('c', 'r', 'p')"
    LIMITS = "SELECT * FROM tasker.flow_limits WHERE namespace = $1"
    EXPLAIN = "SELECT * FROM tasker.explain_step($1)"
    REASONS = %w[concurrency_limit rate_limit waiting_for_turn].freeze
    MOST_DUE = 16               # keys that one claim lets rows out of

    Place = Struct.new(:handle, :task, :step) do
      def id = handle.ids.fetch(step.name)
      def to_s = "#{handle}/#{step.name}"
    end

    # What a key lets start: places, and starts at least and at most.
    Room = Struct.new(:places, :least, :most) do
      def least_at_all = [places, least].min
      def most_at_all = [places, most].min
      def surely? = least_at_all.positive?
    end

    # How often what was seen.
    attr_reader :counts

    def initialize(world, templates, server, random)
      @world = world
      @templates = templates    # in the order in which they were registered
      @namespace = templates.find(&:limited?)&.namespace
      @server = server
      @random = random
      @keys = Hash.new { |keys, name| keys[name] = FlowKey.new(name) }
      @counts = Hash.new(0)
    end

    def places
      @world.handles.select { |handle| handle.template.limited? }.flat_map do |handle|
        task = @world.committed(handle)
        task.final? ? [] : task.steps.values.select { |step| task.limit_of(step.definition) }.map { |step| Place.new(handle, task, step) }
      end
    end

    # Who holds which key: tokens by the name of the key.
    def holders
      held = places.select { |place| place.step.claim }
      held.group_by { |place| place.step.claim.key }.transform_values { |list| list.map { |place| place.step.claim.token } }
    end

    # ---- around any operation ------------------------------------------------

    # What it was that gave places back.
    def count_freed(verb, before)
      after = holders.values.flatten
      freed = before.values.flatten.count { |token| !after.include?(token) }
      @counts["freed by #{verb}"] += freed if freed.positive?
    end

    # ---- a claim -------------------------------------------------------------

    # Steps come out again, before anything is claimed.
    # @param rows [Array<Hash>] what was claimed
    # @param certain [Boolean] whether the claim serves a lane with limits, so that it has to look
    # @param offset [Integer] where the test clock stands
    # @return [Array<Handle>] whose steps did
    def let_out(moment, rows, certain, offset)
      look(moment, rows)
      @held = holders
      aside = places.select { |place| place.step.aside }
      certain &&= aside.map { |place| place.step.aside }.uniq.size <= MOST_DUE
      aside.group_by { |place| place.step.aside }.flat_map do |name, waiting|
        key = @keys[name]
        due = key.again != offset || (key.tokens - @held.fetch(name, [])).any?
        out = let_out_of(key, waiting, certain && due)
        key.again = offset if out.any?
        out.map(&:handle)
      end
    end

    # The limits that count may be those of a version that the claim met.
    # @param chosen [Array] what was claimed, and
    # @param left [Array] what could have been, but for limits
    def meet(chosen, left)
      @before = @keys.select { |_, key| key.version }.to_h { |name, key| [name, room(key)] }
      by_key(chosen + left).each { |name, candidates| adopt(@keys[name], candidates, chosen) }
      by_key(chosen).each { |name, list| refuse_too_many(@keys[name], list, chosen + left) }
    end

    # @return [Array] those that nothing kept from being claimed
    def unhindered(chosen, left)
      taken = by_key(chosen)
      left.reject { |candidate| key_of(candidate) && hindered?(candidate, taken.fetch(key_of(candidate), [])) }
    end

    # After the claim: who was put aside, as it may be, or has to be where the claim looked at everything.
    # @return [Array<Handle>] whose steps were
    def put_aside(chosen, left, all)
      @held = holders
      by_key(chosen).each { |name, list| list.each { |one| @keys[name].start(one.handle.template, @moment) } }
      parked = left.select { |candidate| aside?(candidate.id) && !candidate.step.aside }
      missed = all && left.find { |candidate| !aside?(candidate.id) }
      raise Disagreement, "#{missed.id} was not claimed, and not put aside" if missed

      parked.each { |candidate| put_one_aside(candidate) }
      compare_waiting
      @held = holders
      by_key(parked).each_key { |name| expect_next_start(@keys[name]) }
      @keys.each_value { |key| key.tokens = @held.fetch(key.name, []) }
      parked.map(&:handle)
    end

    # ---- what is shown -------------------------------------------------------

    def compare(now)
      return if @namespace.nil?

      @held = holders
      waiting = places.group_by { |place| place.step.aside }
      rows = @server.rows(LIMITS, [@namespace])
      rows.each { |row| compare_row(row, waiting) }
      missing = (@held.keys + waiting.keys.compact).uniq - rows.map { |row| name_of(row) }
      raise Disagreement, "flow_limits does not show #{missing.inspect}" if missing.any?

      explain(now)
    end

    VERIFY = "SELECT * FROM tasker.verify_all(0)"

    def verify = Comparison.rows("verify_all", [], @server.rows(VERIFY))

    private

    # ---- what was seen -------------------------------------------------------

    def look(moment, rows)
      @moment = moment
      @taken = rows.map { |row| row[:workflow_step_id] }
      @seen = @server.rows(QUEUE, [places.map { |place| place.handle.task_id }.uniq]).to_h { |row| [row[:id], row] }
      @shown = @server.rows(LIMITS, [@namespace]).to_h { |row| [name_of(row), row] }
    end

    def name_of(row) = [row[:namespace], row[:task_name], row[:step_name], row[:key]]
    def aside?(id) = @seen.dig(id, :phase) == "p"
    def key_of(candidate) = candidate.task.flow_key(candidate.step)
    def by_key(candidates) = candidates.group_by { |candidate| key_of(candidate) }.except(nil)

    # Its claim, whose lease ran out, has a place under the key that it would be claimed under.
    def holds?(candidate) = !candidate.step.claim.nil? && candidate.step.claim.key == key_of(candidate)

    def room(key, now = @moment) = Room.new(key.places(@held.fetch(key.name, []).size), *key.starts_left(now))

    # Under the limits before and after; a key that had none did not limit anything.
    def rooms(key) = [@before[key.name], room(key)].compact

    # ---- out -----------------------------------------------------------------

    # In every lane the oldest tasks' first, as many as may start; all the same when they came out lately and nothing ended.
    def let_out_of(key, waiting, sure)
      room = room(key)
      out = waiting.select { |place| came_out?(place) }
      waiting.group_by { |place| @seen.dig(place.id, :lane_id) }.each_value do |line|
        line = line.sort_by(&:id)
        came = line.select { |place| out.include?(place) }
        least = sure || out.any? ? [room.least_at_all, line.size].min : 0
        next if came == line.first(came.size) && came.size.between?([least, 0].max, [room.most_at_all, 0].max)

        raise Disagreement, "#{key.name}: of #{line.join(", ")}, which wait, #{came.join(", ")} came out; #{room.inspect}"
      end
      out.each { |place| place.task.let_out(place.step, @moment) }
      @counts["out again"] += out.size
      out
    end

    def came_out?(place)
      return true if @taken.include?(place.id)

      seen = @seen[place.id] || raise(Disagreement, "#{place} waited for its key, and is gone")
      return false if seen[:phase] == "p" && place.step.not_before.agrees?(seen[:visible_at])
      return true if @moment.agrees?(seen[:visible_at])

      raise Disagreement, "#{place} waited for its key, and is in the line since #{seen[:visible_at]}"
    end

    # ---- limits --------------------------------------------------------------

    def adopt(key, candidates, chosen)
      shown = shown_limits(@shown[key.name])
      least = [key.version, *chosen.select { |one| key_of(one) == key.name }.map { |one| one.handle.template }].compact.map { |one| @templates.index(one) }.max
      return if shown.none? && least.nil?
      return if key.limit && shown == limits(key.limit) && least == @templates.index(key.version)

      met = candidates.map { |one| [one.handle.template, one.task.limit_of(one.step.definition)] }.uniq.sort_by { |version, _| @templates.index(version) }
      version, limit = met.find { |one, its| @templates.index(one) >= least.to_i && limits(its) == shown }
      raise Disagreement, "#{key.name}: its limits are #{shown.inspect}, which no version that was claimed has" if version.nil?

      @counts["limits of a newer version"] += 1 if key.version
      key.adopt(version, limit, @moment)
    end

    def limits(limit) = [limit.concurrency, limit.rate, limit.period&.to_f]
    def shown_limits(row) = row.nil? ? [nil] * 3 : [row[:concurrency_limit], row[:rate_limit], row[:rate_period_seconds]&.to_f]

    # ---- claimed -------------------------------------------------------------

    # What ran under a key that meanwhile is another's gives its place back, too.
    def refuse_too_many(key, list, all)
      places = rooms(key).map(&:places).max + all.count { |one| one.step.claim&.key == key.name && !holds?(one) }
      starts = rooms(key).map(&:most).max
      fresh = list.reject { |one| holds?(one) }
      @counts["lease lost and taken over"] += list.size - fresh.size
      list.each { |one| @counts["claimed: #{kind(one)}"] += 1 }
      return if fresh.size <= places && list.size <= starts

      raise Disagreement, "#{key.name}: #{list.map(&:id)} are claimed, but only #{places} may run, and #{starts} start"
    end

    # By what its key is told apart.
    def kind(candidate)
      @counts["claimed: instances of maps"] += 1 if candidate.step.instance?
      @counts["claimed: key changed"] += 1 if candidate.step.claim && !holds?(candidate)
      limit = candidate.task.limit_of(candidate.step.definition)
      key = limit.key.nil? ? "no key" : limit.key[/\Acontext/] || "result"
      "#{candidate.step.definition.limit ? "step" : "template"}, #{key}#{", both limits" if limit.rate && limit.concurrency}"
    end

    # Was there no room when it was its turn?
    def hindered?(candidate, taken)
      key = @keys[key_of(candidate)]
      earlier = taken.select { |other| (other.rank <=> candidate.rank) <= 0 }
      places = rooms(key).map(&:places).min + (holds?(candidate) ? 1 : 0) - earlier.count { |other| !holds?(other) }
      starts = rooms(key).map(&:least).min - earlier.size
      places <= 0 || starts <= 0
    end

    # ---- aside ---------------------------------------------------------------

    def put_one_aside(candidate)
      key = @keys[key_of(candidate)]
      room = room(key)
      room.places += 1 if holds?(candidate)
      raise Disagreement, "#{candidate.id} was put aside, but #{key.name} has room: #{room.inspect}" if room.surely?

      @counts[room.places <= 0 ? "put aside, too many run" : "put aside, too many started"] += 1
      @counts["put aside with a lost lease"] += 1 if candidate.step.claim
      candidate.task.put_aside(candidate.step, key.name, @moment)
      return if candidate.step.not_before.agrees?(@seen[candidate.id][:visible_at])

      raise Disagreement, "#{candidate.id} lost its place in the line when it was put aside: #{@seen[candidate.id]}"
    end

    def compare_waiting
      wrong = places.find { |place| aside?(place.id) == place.step.aside.nil? }
      raise Disagreement, "#{wrong} should #{"not " unless wrong.step.aside}be aside: #{@seen[wrong.id]}" if wrong
    end

    def expect_next_start(key)
      shown = @shown.fetch(key.name)[:next_at]
      if room(key).places <= 0
        raise Disagreement, "#{key.name} is full, but due at #{shown}" if shown
      elsif (expected = key.next_start(@moment))
        @counts["time of the next start"] += 1
        raise Disagreement, "#{key.name} should be due in #{expected}, not at #{shown.inspect}" unless shown && expected.cover?(shown)
      end
    end

    # ---- what is shown -------------------------------------------------------

    def compare_row(row, waiting)
      name = name_of(row)
      key = @keys.fetch(name) { FlowKey.new(name) }
      expected = { running: @held.fetch(name, []).size, waiting: waiting.fetch(name, []).size }
      Comparison.row("flow_limits of #{name}", expected, row)
      unless shown_limits(row) == (key.limit ? limits(key.limit) : [nil] * 3)
        raise Disagreement, "flow_limits of #{name}: #{shown_limits(row).inspect}, should be #{key.limit.inspect}"
      end
      return unless row[:waiting].positive? && row[:next_at].nil? && key.places(row[:running]).positive?

      raise Disagreement, "flow_limits of #{name}: steps wait, there is room, and they are not due"
    end

    # One of those that wait.
    def explain(now)
      waiting = places.select { |place| place.step.aside || place.task.ready?(place.step, now) }
      place = waiting.sample(random: @random) or return
      expected = reason(place, now) or return
      reasons = @server.rows(EXPLAIN, [place.id]).map { |row| row[:reason] } & REASONS
      @counts["explained: #{expected.join}"] += 1 if expected.any?
      raise Disagreement, "explain_step(#{place}) says #{reasons.inspect}, should say #{expected.inspect}" unless reasons == expected
    end

    # @return [Array, nil] nil: it cannot be known
    def reason(place, now)
      name = place.step.aside || place.task.flow_key(place.step)
      return [] unless @keys.key?(name)

      room = room(@keys[name], now)
      return ["concurrency_limit"] if room.places <= 0
      return ["rate_limit"] if room.most <= 0

      place.step.aside ? ["waiting_for_turn"] : [] if room.least.positive?
    end
  end
end
