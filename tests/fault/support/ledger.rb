# frozen_string_literal: true

module Fault
  # What clients were told, noted outside of the database. Only what COMMIT was answered for, or what
  # the server confirmed when it was asked again, is in here.
  class Ledger
    # @return [Array<Array>] step id, claim token (nil where the client does not know it), value
    attr_reader :results
    # @return [Hash{String => Integer}] idempotency key => task id
    attr_reader :tasks
    # @return [Array<Array>] cursor and event, as they were read
    attr_reader :events
    # @return [Hash{Symbol => Integer}] commits by verb
    attr_reader :done
    # @return [Hash{String => Integer}] what was refused or broke, and may be: "verb SQLSTATE" => times
    attr_reader :expected
    # @return [Array<String>] what may not happen
    attr_reader :surprises
    # @return [Integer] commits whose answer was lost
    attr_reader :unknown_commits

    def initialize
      @mutex = Mutex.new
      @results = []
      @tasks = {}
      @changeable = []
      @events = []
      @done = Hash.new(0)
      @expected = Hash.new(0)
      @surprises = []
      @unknown_commits = 0
      @values = 0
      @keys = 0
    end

    def next_value = @mutex.synchronize { @values += 1 }
    def next_key(prefix) = @mutex.synchronize { "#{prefix} #{@keys += 1}" }

    def completed(results) = @mutex.synchronize { @results.concat(results) }
    def heard(events) = @mutex.synchronize { @events.concat(events) }
    def did(verb) = @mutex.synchronize { @done[verb] += 1 }
    def expect(what) = @mutex.synchronize { @expected[what] += 1 }
    def surprise(what) = @mutex.synchronize { @surprises << what }
    def commit_unknown = @mutex.synchronize { @unknown_commits += 1 }

    def created(key, task_id, changeable:)
      @mutex.synchronize do
        surprises << "key #{key} made task #{@tasks[key]} and task #{task_id}" if @tasks.fetch(key, task_id) != task_id
        @tasks[key] = task_id
        @changeable << task_id if changeable
      end
    end

    # One of the newest tasks that may be changed by hand.
    def changeable(random) = @mutex.synchronize { @changeable.last(5).sample(random: random) }
  end
end
