# frozen_string_literal: true

require "test_helper"
require "tmpdir"

class TemplateTest < UnitTest
  YAML_TEXT = <<~YAML
    name: process_order
    namespace: fulfillment
    version: "1.10.0"
    steps:
      - name: validate
        handler:
          callable: Validate
          method: check
          initialization: {limit: 5, mode: strict}
        timeout_seconds: 10
      - name: ship
        depends_on: [validate]
        handler: {callable: Ship}
    environments:
      production:
        steps:
          - name: validate
            handler: {initialization: {limit: 500}}
          - name: ALL
            timeout_seconds: 60
        lifecycle: {max_duration_minutes: 5}
      test:
        step_overrides:
          ship: {timeout_seconds: 1}
  YAML

  def load(text, env: nil) = TaskerCore::Template.load(text, env: env).first

  def test_hands_the_definition_over_as_it_is
    template = load(YAML_TEXT)
    assert_equal ["process_order", "fulfillment", "1.10.0", "fulfillment/process_order"],
                 [template.name, template.namespace, template.version, template.full_name]
    assert_equal 10, template.definition["steps"][0]["timeout_seconds"]
    assert_equal({ "callable" => "Ship" }, template.definition["steps"][1]["handler"])
    refute template.definition.key?("environments")
    assert_predicate template.definition["steps"][0], :frozen?
  end

  def test_merges_the_environment_step_by_step_and_deep
    definition = load(YAML_TEXT, env: "production").definition
    validate, ship = definition["steps"]
    assert_equal({ "limit" => 500, "mode" => "strict" }, validate.dig("handler", "initialization"))
    assert_equal "Validate", validate.dig("handler", "callable")
    assert_equal [60, 60], [validate["timeout_seconds"], ship["timeout_seconds"]]
    assert_equal({ "max_duration_minutes" => 5 }, definition["lifecycle"])
  end

  def test_overrides_may_be_a_mapping
    validate, ship = load(YAML_TEXT, env: "test").definition["steps"]
    assert_equal [10, 1], [validate["timeout_seconds"], ship["timeout_seconds"]]
  end

  def test_an_own_override_wins_over_all
    text = <<~YAML
      name: x
      steps: [{name: a}, {name: b}]
      environments: {p: {steps: [{name: a, timeout_seconds: 1}, {name: ALL, timeout_seconds: 9}]}}
    YAML
    assert_equal([1, 9], load(text, env: "p").definition["steps"].map { |step| step["timeout_seconds"] })
  end

  def test_an_unknown_environment_changes_nothing
    assert_equal load(YAML_TEXT).definition, load(YAML_TEXT, env: "staging").definition
  end

  def test_an_override_of_an_unknown_step_is_refused
    text = "name: x\nsteps: [{name: a}]\nenvironments: {p: {steps: [{name: b, timeout_seconds: 1}]}}\n"
    error = assert_raises(TaskerCore::TemplateError) { load(text, env: "p") }
    assert_match(/environments.p overrides unknown steps: b/, error.message)
  end

  def test_the_environment_comes_from_the_process
    with_env("TASKER_ENV" => nil, "RAILS_ENV" => "production") do
      assert_equal 60, TaskerCore::Template.load(YAML_TEXT).first.definition["steps"][0]["timeout_seconds"]
    end
  end

  def test_the_other_dialect
    template = load(<<~YAML)
      name: old
      namespace_name: legacy
      step_templates:
        - name: a
          handler_class: A
          handler_config: {url: x}
        - name: b
          depends_on_step: a
          handler_class: B
    YAML
    assert_equal "legacy/old", template.full_name
    assert_equal "0.1.0", template.version
    assert_equal(%w[A B], template.steps.map(&:handler_class))
    assert_equal([{ "url" => "x" }, {}], template.steps.map(&:handler_config))
    assert template.definition.key?("step_templates")
  end

  def test_steps_of_our_dialect
    step = load(YAML_TEXT).steps.first
    assert_equal ["validate", "Validate", "check", nil],
                 [step.name, step.handler_class, step.handler_method, step.handler_resolver]
    assert_equal({ "limit" => 5, "mode" => "strict" }, step.handler_config)
  end

  def test_a_version_that_is_no_string_is_refused
    { "1.10" => "1.1", "2" => "2", "" => "nil" }.each do |written, read|
      error = assert_raises(TaskerCore::TemplateError) { load("name: x\nversion: #{written}\nsteps: []\n") }
      assert_match(/version must be a string, not #{Regexp.escape(read)}; write it in quotes/, error.message)
    end
    assert_equal "0.1.0", load("name: x\nsteps: []\n").version
  end

  def test_unreadable_text_says_where
    { "a: [\n" => /template/, "- a\n- b\n" => /mapping is expected, not Array/,
      "a: 1\n---\nb: 2\n" => /one YAML document expected, found 2/,
      "name: x\nsince: 2024-01-01\n" => /put dates and times in quotes/ }.each do |text, message|
      error = assert_raises(TaskerCore::TemplateError, text) { load(text) }
      assert_match message, error.message
    end
  end

  def test_aliases_are_allowed
    template = load("name: x\nbase: &base {timeout_seconds: 3}\nsteps:\n  - {<<: *base, name: a}\n")
    assert_equal 3, template.definition["steps"][0]["timeout_seconds"]
  end

  def test_files_and_directories
    Dir.mktmpdir do |directory|
      FileUtils.mkdir(File.join(directory, "sub"))
      File.write(File.join(directory, "b.yml"), "name: b\nsteps: []\n")
      File.write(File.join(directory, "sub", "a.yaml"), "name: a\nsteps: []\n")
      File.write(File.join(directory, "bad.txt"), "not yaml: [")
      templates = TaskerCore::Template.load(directory, env: nil)
      assert_equal(%w[b a], templates.map(&:name))
      assert_equal File.join(directory, "b.yml"), templates.first.path
      File.write(File.join(directory, "b.yml"), "name: b\nversion: 1.1\n")
      error = assert_raises(TaskerCore::TemplateError) { TaskerCore::Template.load(directory) }
      assert_match(/b\.yml: version must be/, error.message)
    end
    error = assert_raises(TaskerCore::TemplateError) { TaskerCore::Template.load("/nowhere/x.yml") }
    assert_match(%r{no such template file or directory: /nowhere/x.yml}, error.message)
  end

  def test_a_directory_without_templates_is_refused
    Dir.mktmpdir do |directory|
      assert_raises(TaskerCore::TemplateError) { TaskerCore::Template.load(directory) }
    end
  end

  def test_symbols_become_strings
    template = TaskerCore::Template.new({ name: :x, steps: [{ name: "a", type: :standard }] })
    assert_equal({ "name" => "x", "steps" => [{ "name" => "a", "type" => "standard" }] }, template.definition)
  end

  private

  def with_env(changes)
    saved = changes.keys.to_h { |key| [key, ENV.fetch(key, nil)] }
    changes.each { |key, value| ENV[key] = value }
    yield
  ensure
    saved.each { |key, value| ENV[key] = value }
  end
end
