# frozen_string_literal: true

require_relative "html"

module TaskerCore
  class Dashboard
    # A task's steps as a picture: SVG with a link for each step, parents above children.
    class Graph
      WIDTH = 176
      HEIGHT = 52
      GAP_X = 24
      GAP_Y = 44
      MARGIN = 12
      LANE = 8
      # A larger graph is a list only.
      MOST = 300

      # A step where it is drawn; without a step, the place where an edge passes a layer.
      Node = Struct.new(:key, :step, :above, :x, :y, :width, keyword_init: true)

      # @param steps [Array<Hash>] of get_task, in a topological order
      # @param now [Time] what runs has run until now
      # @yieldparam step [Hash]
      # @yieldreturn [String] where a step's link leads
      def initialize(steps, now: Time.now, &link)
        @steps = steps
        @now = now
        @link = link
      end

      # @return [Html::Markup]
      def to_svg
        return Html.h(:p, "#{@steps.size} steps are too many for a picture; the table below has them all.") if @steps.size > MOST

        nodes = place
        critical = critical_path
        Html.h(:svg, Html.h(:title, "Steps and what they depend on"), edges(nodes, critical), boxes(nodes, critical),
               class: "graph", role: "group", aria_label: "Graph of the steps", **size(nodes))
      end

      # The steps that the task's duration came from: from the one that ended last back to a root,
      # each time by the parent that ended last.
      # @return [Array<String>] names
      def critical_path
        ended = @steps.select { |step| step["started_at"] }
        by_name = ended.to_h { |step| [step.fetch("name"), step] }
        step = ended.max_by { |candidate| finish(candidate) }
        path = []
        while step
          path.unshift(step.fetch("name"))
          step = step.fetch("depends_on").filter_map { |name| by_name[name] }.max_by { |parent| finish(parent) }
        end
        path
      end

      # @return [Float, nil] seconds a step has run
      def self.seconds(step, now = Time.now)
        return unless step["started_at"]
        return if step["finished_at"].nil? && step["state"] != "in_progress"

        (step["finished_at"] ? Time.iso8601(step["finished_at"]) : now) - Time.iso8601(step["started_at"])
      end

      private

      def finish(step) = step["finished_at"] ? Time.iso8601(step["finished_at"]) : @now

      # Layers by the longest path from a root; an edge over several layers has a place in each between,
      # so that it goes around what is there.
      def place
        depth = {}
        @steps.each { |step| depth[step.fetch("name")] = step.fetch("depends_on").map { |name| depth.fetch(name, 0) + 1 }.max || 0 }
        layers = Array.new(depth.values.max + 1) { [] }
        @steps.each do |step|
          level = depth.fetch(step.fetch("name"))
          layers[level] << Node.new(key: step.fetch("name"), step: step, above: step.fetch("depends_on").map { |name| via(name, step, level) }, width: WIDTH)
          step.fetch("depends_on").each { |name| pass(name, step, (depth.fetch(name, level) + 1)...level, layers) }
        end
        arrange(layers)
      end

      # The key of what is right above a step on the way from a parent.
      def via(name, step, level) = [name, step.fetch("name"), level - 1]

      def pass(name, step, levels, layers)
        levels.each do |level|
          layers[level] << Node.new(key: [name, step.fetch("name"), level], above: [[name, step.fetch("name"), level - 1]], width: LANE)
        end
      end

      # Within a layer by where the parents are.
      def arrange(layers)
        widest = layers.map { |layer| width_of(layer) }.max
        layers.each_with_index.each_with_object({}) do |(layer, level), nodes|
          x = MARGIN + ((widest - width_of(layer)) / 2)
          layer.sort_by.with_index { |node, i| [centre(node, nodes), i] }.each do |node|
            nodes[node.key] = node.tap { node.x = x }
            node.y = MARGIN + (level * (HEIGHT + GAP_Y))
            x += node.width + GAP_X
          end
        end
      end

      def width_of(layer) = layer.sum { |node| node.width + GAP_X } - GAP_X

      def centre(node, nodes)
        xs = node.above.filter_map { |key| nodes[key] || nodes[key.first] }.map { |above| above.x + (above.width / 2) }
        xs.empty? ? 0 : xs.sum / xs.size.to_f
      end

      def size(nodes)
        width = nodes.values.map { |node| node.x + node.width }.max + MARGIN
        height = nodes.values.map(&:y).max + HEIGHT + MARGIN
        { width: width, height: height, viewBox: "0 0 #{width} #{height}" }
      end

      def edges(nodes, critical)
        pairs = critical.each_cons(2).to_a
        steps_of(nodes).flat_map do |node|
          node.step.fetch("depends_on").filter_map do |name|
            from = nodes[name] or next
            between = nodes.values.select { |lane| lane.step.nil? && lane.key.first(2) == [name, node.key] }
            edge([from, *between, node], pairs.include?([name, node.key]))
          end
        end
      end

      # Down from one layer to the next, and straight through the lanes in between.
      def edge(stops, critical)
        line = stops.each_cons(2).map do |from, to|
          x1 = from.x + (from.width / 2)
          x2 = to.x + (to.width / 2)
          y1 = from.y + HEIGHT
          "#{from.step ? "M" : "L"}#{x1} #{y1}C#{x1} #{y1 + (GAP_Y / 2)} #{x2} #{to.y - (GAP_Y / 2)} #{x2} #{to.y}"
        end
        Html.h(:path, d: line.join, class: critical ? "edge critical" : "edge")
      end

      def steps_of(nodes) = nodes.values.select(&:step)

      def boxes(nodes, critical)
        steps_of(nodes).map do |node|
          step = node.step
          name = step.fetch("name")
          said = "#{name}: #{step.fetch("state")}#{", on the critical path" if critical.include?(name)}"
          Html.h(:a, Html.h(:title, said),
                 Html.h(:rect, x: node.x, y: node.y, width: WIDTH, height: HEIGHT, rx: 8),
                 Html.h(:text, short(name, 22), x: node.x + 12, y: node.y + 22, class: "name"),
                 Html.h(:text, detail(step), x: node.x + 12, y: node.y + 40, class: "detail"),
                 href: @link.call(step), aria_label: said,
                 class: ["node", "s-#{step.fetch("state")}", ("critical" if critical.include?(name))].compact.join(" "))
        end
      end

      def detail(step)
        seconds = self.class.seconds(step, @now)
        [step.fetch("state").tr("_", " "), (Html.duration(seconds) if seconds),
         ("#{step["attempts"]} attempts" if step["attempts"].to_i > 1)].compact.join(" · ")
      end

      def short(text, most) = text.size > most ? "#{text[0, most - 1]}…" : text
    end
  end
end
