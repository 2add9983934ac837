# frozen_string_literal: true

require "base64"
require "fileutils"
require "io/nonblock"
require "io/wait"
require "json"
require "tmpdir"

# A headless Chromium, spoken to over pipes by the DevTools protocol.
class Browser
  class Failure < StandardError; end

  NAMES = %w[chromium chromium-browser google-chrome].freeze
  PATIENCE = 60

  # @return [String, nil]
  def self.executable = NAMES.find { |name| ENV.fetch("PATH").split(":").any? { |path| File.executable?(File.join(path, name)) } }

  # What the pages said on the console, and what they threw.
  attr_reader :complaints

  def initialize
    @profile = Dir.mktmpdir("tasker-browser")
    commands, @out = IO.pipe
    @in, answers = IO.pipe
    [commands, answers].each { |pipe| pipe.nonblock = false } # Chromium takes EAGAIN for the end
    @pid = spawn({ "HOME" => @profile }, self.class.executable, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                 "--no-first-run", "--user-data-dir=#{@profile}", "--remote-debugging-pipe", "about:blank",
                 3 => commands, 4 => answers, out: File::NULL, err: ENV.fetch("BROWSER_LOG", File::NULL))
    [commands, answers].each(&:close)
    @number = 0
    @complaints = []
    attach
  end

  def open(url)
    @loaded = false
    call("Page.navigate", url: url)
    eventually("#{url} to load") { pump(0.1) || @loaded }
  end

  # @return what a script comes to
  def ask(script)
    answer = call("Runtime.evaluate", expression: script, returnByValue: true, awaitPromise: true)
    raise Failure, answer.dig("exceptionDetails", "exception", "description") if answer["exceptionDetails"]

    answer.dig("result", "value")
  end

  def press(key) = %w[keyDown keyUp].each { |type| call("Input.dispatchKeyEvent", type: type, key: key, code: key, windowsVirtualKeyCode: { "Tab" => 9 }.fetch(key, 0)) }

  def width=(pixels)
    call("Emulation.setDeviceMetricsOverride", width: pixels, height: 900, deviceScaleFactor: 1, mobile: false)
  end

  def scheme=(name)
    call("Emulation.setEmulatedMedia", features: [{ name: "prefers-color-scheme", value: name }])
  end

  # @return [String] PNG of the whole page
  def picture
    size = call("Page.getLayoutMetrics").fetch("cssContentSize")
    clip = { x: 0, y: 0, width: size["width"], height: [size["height"], 1600].min, scale: 1 }
    Base64.decode64(call("Page.captureScreenshot", format: "png", captureBeyondViewport: true, clip: clip).fetch("data"))
  end

  # The block is asked until it is true.
  def eventually(what)
    deadline = now + PATIENCE
    until (found = yield)
      raise Failure, "waited #{PATIENCE} s for #{what}" if now > deadline

      pump(0.1)
    end
    found
  end

  def close
    Process.kill("KILL", @pid)
    Process.wait(@pid)
  ensure
    FileUtils.rm_rf(@profile)
  end

  private

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def attach
    target = call("Target.getTargets").fetch("targetInfos").find { |info| info["type"] == "page" }
    @session = call("Target.attachToTarget", targetId: target.fetch("targetId"), flatten: true).fetch("sessionId")
    %w[Page Runtime Log].each { |domain| call("#{domain}.enable") }
  end

  def call(method, **parameters)
    id = (@number += 1)
    @out.write("#{JSON.generate({ id: id, method: method, params: parameters, sessionId: @session }.compact)}\0")
    @answer = nil
    deadline = now + PATIENCE
    until @answer && @answer["id"] == id
      raise Failure, "no answer to #{method}" if now > deadline

      pump(1)
    end
    raise Failure, "#{method}: #{@answer.dig("error", "message")}" if @answer["error"]

    @answer.fetch("result")
  end

  # Reads one message, if there is one in time; nil.
  def pump(seconds)
    @buffer ||= +""
    until (split = @buffer.index("\0"))
      return unless @in.wait_readable(seconds)

      @buffer << @in.readpartial(65_536)
    end
    hear(JSON.parse(@buffer.slice!(0..split).chomp("\0").force_encoding("UTF-8")))
  end

  def hear(message)
    case message["method"]
    when nil then @answer = message
    when "Page.loadEventFired" then @loaded = true
    when "Runtime.exceptionThrown" then @complaints << message.dig("params", "exceptionDetails", "exception", "description").to_s
    when "Runtime.consoleAPICalled" then @complaints << JSON.generate(message.dig("params", "args"))
    when "Log.entryAdded" then @complaints << message.dig("params", "entry", "text").to_s
    end
    nil
  end
end
