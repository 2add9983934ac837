# frozen_string_literal: true

require "json"
require "pg"

module Race
  def self.now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  # A statement that takes this long is stuck; deadlocks are looked for early, so that many fit in.
  def self.connect(url)
    connection = PG.connect(url)
    connection.set_notice_receiver { nil }
    connection.exec("CREATE EXTENSION IF NOT EXISTS tasker_core")
    connection.exec("SET statement_timeout = '30s'")
    connection.exec("SET deadlock_timeout = '50ms'") if connection.exec("SELECT current_setting('is_superuser')").getvalue(0, 0) == "on"
    connection
  end

  Claim = Struct.new(:step_id, :task_id, :token)

  # What the clients were told: the claims they hold, and what the server acknowledged.
  class Ledger
    HOT_TASKS = 6       # few, so that the connections meet
    KNOWN_CLAIMS = 60   # stale ones among them
    CREATES_PER_KEY = 4

    attr_reader :completed, :ghosts, :keys, :signals, :done, :expected, :deadlocks, :surprises

    def initialize
      @mutex = Mutex.new
      @tasks = []
      @claims = []
      @creates = @signals_drawn = 0
      @completed = []                                # [step_id, token] of acknowledged completions
      @ghosts = []                                   # tokens of claims that were rolled back
      @keys = Hash.new { |keys, key| keys[key] = [] } # key => [[task_id, created], ...]
      @signals = []                                  # [task_id, payload, taken at once] of acknowledged signals
      @done = Hash.new(0)                            # verb => commits
      @expected = Hash.new(0)                        # "verb SQLSTATE" => refusals
      @deadlocks = []
      @surprises = []
    end

    def update = @mutex.synchronize { yield self }

    def task(random) = @mutex.synchronize { @tasks.sample(random: random) }

    def claims(random, most) = @mutex.synchronize { @claims.sample(1 + random.rand(most), random: random) }

    # A few creations share a key, and most of them run at the same time.
    def next_key = @mutex.synchronize { "key #{(@creates += 1) / CREATES_PER_KEY}" }

    def next_signal = @mutex.synchronize { @signals_drawn += 1 }

    # The methods below are called within update.

    def created(key, task_id, created)
      @keys[key] << [task_id, created]
      @tasks << task_id unless @tasks.include?(task_id)
      @tasks.shift while @tasks.size > HOT_TASKS
    end

    def claimed(claims)
      @claims.concat(claims)
      @claims.shift while @claims.size > KNOWN_CLAIMS
    end
  end
end
