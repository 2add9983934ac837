# frozen_string_literal: true

require "test_helper"
require "tasker_core/dashboard"

class GraphTest < UnitTest
  Graph = TaskerCore::Dashboard::Graph
  Html = TaskerCore::Dashboard::Html
  Plot = TaskerCore::Dashboard::Plot

  def step(name, after = [], **more)
    { "name" => name, "depends_on" => after, "state" => "complete", "workflow_step_id" => name.sum, "attempts" => 1 }.merge(more.transform_keys(&:to_s))
  end

  def at(second) = Time.at(second).utc.iso8601

  def timed(name, after, from, till) = step(name, after, started_at: at(from), finished_at: at(till))

  def test_the_critical_path_is_what_was_waited_for
    steps = [timed("a", [], 0, 5), timed("b", ["a"], 5, 50), timed("c", ["a"], 5, 10), timed("d", %w[b c], 50, 60)]
    assert_equal %w[a b d], Graph.new(steps) { "#" }.critical_path
    assert_equal [], Graph.new([step("a", state: "pending")]) { "#" }.critical_path
  end

  def test_every_step_is_a_link_and_every_dependency_an_edge
    steps = [step("a"), step("b", ["a"]), step("c", ["a"]), step("d", %w[b c]), step("e", %w[a d])]
    svg = Graph.new(steps) { |one| "/steps/#{one.fetch("name")}" }.to_svg
    assert_equal(%w[a b c d e], svg.scan(%r{href="/steps/(\w)"}).flatten.sort)
    assert_equal 6, svg.scan('class="edge').size
    boxes = svg.scan(/<rect x="(\d+)" y="(\d+)" width="176"/).map { |pair| pair.map(&:to_i) }
    assert_equal boxes.uniq, boxes, "no two steps at one place"
  end

  def test_an_edge_over_layers_goes_around_what_is_between
    steps = [step("a"), step("b", ["a"]), step("c", %w[a b])]
    svg = Graph.new(steps) { "#" }.to_svg
    left, top = svg.scan(/<rect x="(\d+)" y="(\d+)"/)[1].map(&:to_i)
    long = svg.scan(/<path d="([^"]+)"/).flatten.find { |path| path.include?("L") }
    x, y = long[/L(\d+) (\d+)/].delete("L").split.map(&:to_i)
    assert_operator y, :>, top
    assert(x < left || x > left + Graph::WIDTH, "passes at #{x}, the box is at #{left}")
  end

  def test_a_graph_that_is_too_large_is_told_so
    steps = Array.new(Graph::MOST + 1) { |number| step("s#{number}") }
    refute_includes Graph.new(steps) { "#" }.to_svg, "<svg"
  end

  def test_names_are_escaped
    svg = Graph.new([step('<script>"&', state: "error")]) { '"><script>' }.to_svg
    refute_includes svg, "<script"
    assert_includes svg, "&lt;script&gt;"
  end

  def test_html_escapes_whatever_is_not_markup
    assert_equal '<p title="&quot;&lt;">a &amp; <b>&#39;b&#39;</b>�</p>', Html.h(:p, "a & ", Html.h(:b, "'b'"), "\xff", title: '"<')
    assert_equal "<input disabled />", Html.h(:input, disabled: true, value: nil)
    assert_equal "5", Html.escape(5)
  end

  def test_a_plot_draws_bars_lines_gaps_and_the_same_numbers
    rows = [1, nil, 3, 4].each_with_index.map { |value, i| { started_at: Time.at(i * 60), done: value, took: value && value / 10.0 } }
    html = Plot.new("Done", rows, [Plot::Series.new(key: :done, label: "done", kind: :bar), Plot::Series.new(key: :took, label: "took", kind: :line)]).to_html
    assert_equal 3, html.scan("<rect").size
    assert_equal [1, 1], [html.scan("<circle").size, html.scan('class="curve').size]
    assert_equal 4, html.scan("<tr>").size, "a head and a row for each slice that has any"
    assert_includes Plot.new("Empty", [{ started_at: Time.at(0), done: 0 }], [Plot::Series.new(key: :done, label: "done", kind: :bar)]).to_html, "<svg"
  end
end
