# frozen_string_literal: true

require_relative "model"

module ModelTest
  # A task as the test knows it: its ids, and which transaction, if any, has touched it. While that
  # one is open, no other session changes the task: it would have to wait for the locks.
  class Handle
    WIDEST = 4                  # instances of a map

    attr_reader :number, :task_id, :template, :ids, :numbers
    attr_accessor :owner

    def initialize(number, task_id, template, step_numbers)
      @number = number
      @task_id = task_id
      @template = template
      @numbers = step_numbers
      @ids = step_numbers.merge(instance_numbers).transform_values { |step_no| task_id * 1_000_000 + step_no }
    end

    # Of all the instances there may be.
    def instance_numbers
      maps = template.steps.select(&:map).sort_by { |step| numbers.fetch(step.name) }
      size = template.steps.size
      room = [100_000, (999_999 - size) / [maps.size, 1].max].min
      maps.each_with_index.flat_map do |map, i|
        (0...WIDEST).map { |index| [Step.instance_name(map, index), size + 1 + i * room + index] }
      end.to_h
    end

    def to_s = "t#{number}"
  end

  # A session and what its open transaction has changed so far.
  class Session
    attr_reader :name, :server
    attr_accessor :changed, :keys

    def initialize(name, server)
      @name = name
      @server = server
      forget
    end

    def worker = "worker #{name}"
    def open? = !@changed.nil?

    def begin
      @changed = {}
      @keys = {}
    end

    def forget
      @changed = nil
      @keys = nil
    end

    def to_s = name
  end

  # What is committed, and through a session's eyes, what it has changed besides.
  class World
    attr_reader :handles, :holds

    def initialize
      @handles = []
      @holds = Set.new          # what is paused: [namespace, name] and [namespace]
      @tasks = {}
      @keys = {}
    end

    # @return [Task, nil] nil: there is no such task, for this session
    def task(session, handle) = session.changed&.fetch(handle, nil) || @tasks[handle]

    # The same, for changing it.
    def task_to_change(session, handle)
      return @tasks[handle] unless session.open?

      handle.owner = session
      session.changed[handle] ||= @tasks[handle].dup
    end

    def add(session, handle, task)
      @handles << handle
      handle.owner = session if session.open?
      (session.changed || @tasks)[handle] = task
    end

    def add_committed(handle, task)
      @handles << handle
      @tasks[handle] = task
    end

    def key(session, key) = session.keys&.fetch(key, nil) || @keys[key]
    def add_key(session, key, handle) = (session.keys || @keys)[key] = handle

    # Would a session have to wait for the key?
    def key_taken?(sessions, session, key) = sessions.any? { |other| other != session && other.keys&.key?(key) }

    def committed(handle) = @tasks[handle]

    def visible(session) = handles.select { |handle| task(session, handle) }
    def free(session) = visible(session).select { |handle| free?(session, handle) }

    # Steps wait for whoever holds their key, and what tasks and those that run for their steps do to each other
    # spreads; so either is changed by transactions of one operation alone.
    def free?(session, handle)
      return !session.open? if handle.template.limited? || handle.template.nested

      handle.owner.nil? || handle.owner == session
    end

    # @return [Array<Handle>] what the transaction had touched
    def commit(session)
      @tasks.update(session.changed)
      @keys.update(session.keys)
      let_go(session)
    end

    def roll_back(session) = let_go(session)

    # What a savepoint holds; to be given to restore.
    def snapshot(session) = [session.changed.transform_values(&:dup), session.keys.dup]

    def restore(session, snapshot)
      session.changed, session.keys = snapshot
    end

    private

    def let_go(session)
      session.forget
      handles.select { |handle| handle.owner == session }.each { |handle| handle.owner = nil }
    end
  end
end
