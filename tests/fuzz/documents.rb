#!/usr/bin/env ruby
# frozen_string_literal: true

# Fuzzes what reads documents in the server: templates, JSON Schema, and results that say which batches there are.
#
#   TASKER_TEST_URL=postgresql:///test ruby tests/fuzz/documents.rb --rounds 100000 --seed 7
#
# Each document of the corpus is tried as it is; then mutations of them. Whatever comes, the server
# answers: with what is wrong, or by keeping promises about what it accepted. An input that breaks
# one is printed: put it into the corpus. The same seed makes the same inputs. Prints TAP.

require "json"
require "optparse"
require "pg"

# Changes a document in one place.
class Mutator
  SCALARS = [nil, true, false, 0, -1, 1, 2, 100, 101, 2**31, 2**63, -2**63, 1e300, 0.1, "", "a", "b", " ", "\n", "é", "\u{1F600}", "x" * 200, "/", "@", "*",
             "standard", "decision", "create_batches", "no_batches", "work", "exponential", "none", "fail", "skip", "default", "1.0.0", "^(a+)+$", "#/$defs/x", "#", "object", "string", "date-time"].freeze
  DEEP = 600

  # @param words [Array<String>] keys that mean something
  def initialize(random, words)
    @random = random
    @words = words
  end

  def mutate(document)
    copy = Marshal.load(Marshal.dump(document))
    (1 + @random.rand(3)).times { copy = change(copy) }
    copy
  end

  private

  def change(root)
    spots = containers(root)
    return any(2) if spots.empty? || @random.rand < 0.01

    spot = spots.sample(random: @random)
    spot.is_a?(Hash) ? change_object(spot, spots) : change_array(spot, spots)
    root
  end

  def containers(node)
    children = node.is_a?(Hash) ? node.values : node
    node.is_a?(Hash) || node.is_a?(Array) ? [node, *children.flat_map { |child| containers(child) }] : []
  end

  def change_object(object, spots)
    key = object.keys.sample(random: @random)
    case @random.rand(5)
    when 0 then object.delete(key)
    when 1 then object[key] = any(2) if key
    when 2 then object[@words.sample(random: @random)] = any(2)
    when 3 then object[@words.sample(random: @random)] = object.delete(key) if key
    else object[key] = piece(spots) if key
    end
  end

  def change_array(array, spots)
    at = @random.rand(array.size + 1)
    case @random.rand(4)
    when 0 then array.delete_at(at)
    when 1 then array.insert(at, any(2))
    when 2 then array.insert(at, Marshal.load(Marshal.dump(array.sample(random: @random))))
    else array[at] = piece(spots)
    end
  end

  # A part of the document at another place of it.
  def piece(spots)
    copy = Marshal.load(Marshal.dump(spots.sample(random: @random)))
    JSON.generate(copy, max_nesting: false).size < 4000 ? copy : nil
  end

  def any(depth)
    roll = @random.rand
    return deep if roll < 0.002
    return SCALARS.sample(random: @random) if depth.zero? || roll < 0.6

    roll < 0.8 ? Array.new(@random.rand(3)) { any(depth - 1) } : Array.new(@random.rand(3)) { [@words.sample(random: @random), any(depth - 1)] }.to_h
  end

  def deep = (1..DEEP).reduce("x") { |inner, n| n.odd? ? [inner] : { "a" => inner } }
end

# What the server has to do with any input.
class Fuzzer
  # What is wrong with an input, and limits. XX000 or a lost connection is a bug.
  REFUSALS = %w[TC020 TC022 TC023 22023 22004 22003 22P02 22030 22032 2201B 54000 54001].freeze

  def initialize(url)
    @pg = PG.connect(url)
    @pg.set_notice_receiver { nil }
    @pg.exec("SET statement_timeout = '60s'")
    @pg.exec("SET max_stack_depth = '2MB'")
    @accepted = Hash.new(0)
    @refused = Hash.new(0)
  end

  attr_reader :accepted, :refused

  # @return [String, nil] the promise that was broken
  def template(document)
    attempt(:template) do
      text = JSON.generate(document, max_nesting: false)
      warnings = query("SELECT tasker.validate_task_template($1)", text).getvalue(0, 0)
      registered = query("SELECT named_task_id, namespace, name, version, warnings FROM tasker.register_task_template($1)", text).first
      next "register warns otherwise than validate" if registered["warnings"] != warnings

      again(registered) || task(registered)
    end
  end

  # A schema and a document for it.
  def schema(pair)
    schema, document = pair.is_a?(Array) ? pair : [pair, pair]
    attempt(:schema) do
      texts = [schema, document].map { |part| JSON.generate(part, max_nesting: false) }
      one, two = Array.new(2) { query("SELECT * FROM tasker.validate_json_schema($1, $2)", *texts).values }
      "it answers otherwise the second time" if one != two
    end
  end

  BATCHES = { name: "fuzz_batches", steps: [{ name: "cut", type: "batchable" }, { name: "work", type: "batch_worker", depends_on: ["cut"] },
                                            { name: "sum", depends_on: ["work"] }] }.freeze

  # The result of a batchable step: refused, with the claim still held, or what follows is sound.
  def outcome(document)
    attempt(:outcome) do
      query("SELECT FROM tasker.register_task_template($1)", JSON.generate(BATCHES))
      task = query("SELECT task_id FROM tasker.create_task('fuzz_batches')").getvalue(0, 0)
      step, token = query("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('fuzz', task_id => $1)", task).values.first
      status = query("SELECT status FROM tasker.complete_steps(ARRAY[$1::bigint], ARRAY[$2::bigint], ARRAY[$3::jsonb])", step, token,
                     JSON.generate(document, max_nesting: false)).getvalue(0, 0)
      @refused["outcome #{status}"] += 1 unless status == "completed"
      state = query("SELECT state FROM tasker.workflow_steps WHERE workflow_step_id = $1", step).getvalue(0, 0)
      wrong = query("SELECT violation FROM tasker.verify_task($1)", task).column_values(0)
      next "#{status}, and the step is #{state}" unless [%w[completed complete], %w[invalid_result in_progress]].include?([status, state])

      "what follows is unsound: #{wrong}" unless wrong.empty?
    end
  end

  private

  # The normal form is the same template.
  def again(registered)
    key = registered.values_at("name", "namespace", "version")
    normal = query("SELECT tasker.get_task_template($1, $2, $3)", *key).getvalue(0, 0)
    second = query("SELECT named_task_id, created FROM tasker.register_task_template($1)", normal).first
    "its normal form is another template: #{normal}" if second != { "named_task_id" => registered["named_task_id"], "created" => "f" }
  end

  # A task of it is sound from the start, unless its context is refused.
  def task(registered)
    @pg.exec("SAVEPOINT task")
    key = registered.values_at("name", "namespace", "version")
    task = query("SELECT task_id FROM tasker.create_task($1, '{}', $2, $3, idempotency_key => 'fuzz')", *key).getvalue(0, 0)
    wrong = query("SELECT violation FROM tasker.verify_task($1)", task).column_values(0)
    "a task of it is unsound: #{wrong}" unless wrong.empty?
  rescue PG::Error => error
    raise unless state(error) == "TC022"

    @pg.exec("ROLLBACK TO task")
    nil
  end

  def attempt(kind)
    @pg.exec("BEGIN")
    yield.tap { @accepted[kind] += 1 }
  rescue PG::ConnectionBad, PG::UnableToSend => error
    abort "Bail out! the server is gone: #{error.message}"
  rescue PG::Error => error
    @refused["#{kind} #{state(error)}"] += 1
    "#{state(error)} #{error.message}" unless REFUSALS.include?(state(error))
  ensure
    @pg.exec("ROLLBACK") unless @pg.finished?
  end

  def query(sql, *values) = @pg.exec_params(sql, values)
  def state(error) = error.result&.error_field(PG::Result::PG_DIAG_SQLSTATE)
end

options = { rounds: 3000, seed: Random.new_seed % 1_000_000 }
OptionParser.new do |parser|
  parser.on("--rounds N", Integer)
  parser.on("--seed N", Integer)
end.parse!(into: options)

fuzzer = Fuzzer.new(ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" })
random = Random.new(options[:seed])
puts "# seed #{options[:seed]}"
broken = 0
{ template: "templates", schema: "schemas", outcome: "outcomes" }.each.with_index(1) do |(kind, directory), number|
  corpus = Dir[File.join(__dir__, "corpus", directory, "*.json")].sort.map { |file| JSON.parse(File.read(file), max_nesting: false) }
  words = corpus.flat_map { |document| JSON.generate(document).scan(/"([$\w]+)":/).flatten }.uniq.sort
  mutator = Mutator.new(random, words)
  inputs = corpus.each.chain(Enumerator.produce { mutator.mutate(corpus.sample(random: random)) }.lazy.first(options[:rounds]).each)
  findings = inputs.filter_map { |input| (promise = fuzzer.public_send(kind, input)) && [promise, input] }
  findings << ["the corpus is empty"] if corpus.empty? || fuzzer.accepted[kind].zero?
  puts "#{"not " unless findings.empty?}ok #{number} - #{directory}: #{corpus.size} of the corpus and #{options[:rounds]} mutations"
  findings.first(5).each { |promise, input| puts "# #{promise}", "#   #{JSON.generate(input, max_nesting: false)[0, 2000]}" }
  broken += findings.size
end
puts "# accepted #{fuzzer.accepted}, refused #{fuzzer.refused}", "1..3"
exit broken.zero?
