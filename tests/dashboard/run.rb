# frozen_string_literal: true

# The dashboard in a headless Chromium. Prints TAP; everything is skipped where there is none.
#
#   ruby tests/dashboard/run.rb     with TASKER_TEST_URL naming a database for it
#   UPDATE_SCREENSHOTS=1 ...        writes the pictures of docs/images

$LOAD_PATH.unshift(File.expand_path("../../ruby/lib", __dir__))
require "fileutils"
require "io/wait"
require "tasker_core/dashboard"
require "tasker_core/dashboard/server"
require_relative "browser"
require_relative "samples"

URL = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" }
IMAGES = File.expand_path("../../docs/images", __dir__)
WIDTHS = { "wide" => 1200, "narrow" => 480 }.freeze

unless Browser.executable
  puts "ok 1 - the dashboard in a browser # SKIP no Chromium here", "1..1"
  exit
end

# One check after the other on the same browser, in the words of TAP.
class Checks
  def initialize(client, base)
    @client = client
    @base = base
    @samples = Samples.new(client).make
    @number = 0
    @failed = false
    @browser = Browser.new
  end

  def run
    pages.each { |name, path| WIDTHS.each { |width, pixels| check("#{name}, #{width}") { page(name, path, width, pixels) } } }
    check("dark is dark") { dark }
    check("the first tab stop skips the navigation; \"/\" goes to the search field") { keyboard }
    check("every control and picture has a name") { names }
    check("a change shows without a reload, and what was open stays open") { live }
    check("a button puts a failed task right") { button }
    puts "1..#{@number}"
    !@failed
  ensure
    @browser.close
  end

  private

  def pages
    { "overview" => "", "tasks" => "tasks", "task" => "tasks/#{@samples.running}", "step" => "steps/#{@samples.failed}000002",
      "dead-letters" => "dead-letters", "workers" => "workers", "schedules" => "schedules", "templates" => "templates" }
  end

  def check(name)
    @number += 1
    @browser.complaints.clear
    wrong = Array(yield).compact + @browser.complaints
  rescue StandardError => e
    wrong = ["#{e.class}: #{e.message}", *e.backtrace.first(3)]
  ensure
    @failed ||= wrong.any?
    puts "#{"not " if wrong.any?}ok #{@number} - #{name}", wrong.map { |text| "# #{text}" }
  end

  def page(name, path, width, pixels)
    @browser.width = pixels
    @browser.open("#{@base}#{path}")
    picture = @browser.picture
    drawn = picture.byteslice(16, 4).unpack1("N")
    if ENV["UPDATE_SCREENSHOTS"] && %w[overview task dead-letters].include?(name)
      FileUtils.mkdir_p(IMAGES)
      File.binwrite(File.join(IMAGES, "dashboard-#{name}-#{width}.png"), picture)
    end
    wide = @browser.ask("document.documentElement.scrollWidth")
    [("scrolls sideways: #{wide} pixels" if wide > pixels), ("the picture is #{drawn} pixels wide" if drawn != pixels),
     ("no heading" unless @browser.ask("document.querySelectorAll('h1').length") == 1)]
  end

  def dark
    colours = %w[light dark].map do |scheme|
      @browser.scheme = scheme
      @browser.ask("getComputedStyle(document.body).backgroundColor").scan(/\d+/).sum(&:to_i)
    end
    if ENV["UPDATE_SCREENSHOTS"]
      @browser.width = 1200
      @browser.open("#{@base}tasks/#{@samples.running}")
      File.binwrite(File.join(IMAGES, "dashboard-task-dark.png"), @browser.picture)
    end
    @browser.scheme = "light"
    "light is #{colours.first}, dark is #{colours.last}" unless colours.first > 600 && colours.last < 150
  end

  def keyboard
    @browser.width = 1200
    @browser.open("#{@base}tasks")
    @browser.press("Tab")
    first = @browser.ask("document.activeElement.className")
    @browser.ask("document.activeElement.blur(); document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '/', bubbles: true}))")
    at = @browser.ask("document.activeElement.id")
    [("the first stop is #{first.inspect}" unless first == "skip"), ("/ leads to #{at.inspect}" unless at == "search")]
  end

  NAMELESS = <<~JS
    Array.from(document.querySelectorAll("input:not([type=hidden]), select, button, a, svg, [role=group], progress"))
      .filter(e => !(e.getAttribute("aria-label") || e.textContent.trim() || (e.labels && e.labels.length)))
      .map(e => e.outerHTML.slice(0, 120))
  JS

  def names
    pages.values.flat_map do |path|
      @browser.open("#{@base}#{path}")
      @browser.ask(NAMELESS).map { |found| "#{path}: #{found}" }
    end
  end

  def live
    @browser.open("#{@base}steps/#{@samples.running}000002")
    @browser.eventually("the stream") { @browser.ask("document.getElementById('live').textContent").start_with?("live") }
    @browser.ask("window.same = true; document.querySelector('details').open = false; document.querySelector('summary').focus(); 1")
    @client.reset_step((@samples.running * 1_000_000) + 2, reason: "seen live")
    @browser.eventually("the reset to show") { @browser.ask("document.body.textContent.includes('seen live')") }
    ("it was loaded anew" unless @browser.ask("window.same === true"))
  end

  def button
    @browser.open("#{@base}tasks/#{@samples.failed}")
    @browser.ask("document.querySelector('form[action$=\"/retry\"] button').click(); 1")
    @browser.eventually("the answer") { @browser.ask("location.search.includes('said=') && document.readyState === 'complete'") }
    state = @client.get_task(@samples.failed).dig("task", "state")
    "the task is #{state}" unless state == "in_progress"
  end
end

client = TaskerCore::Client.new(URL)
client.connection.query("SET client_min_messages = warning")
client.connection.query("CREATE EXTENSION IF NOT EXISTS tasker_core")
server = TaskerCore::Dashboard::Server.new(TaskerCore::Dashboard.new(URL, operator: true), port: 0)
thread = Thread.new { server.run }
good = Checks.new(client, server.url).run
server.stop
thread.join
exit(good ? 0 : 1)
