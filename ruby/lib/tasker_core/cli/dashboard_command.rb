# frozen_string_literal: true

module TaskerCore
  module CLI
    # `tasker dashboard`
    module Commands
      command "dashboard", "the operators' web pages, on this machine",
              bind: ["--bind ADDRESS", String, "address to listen at (127.0.0.1)"],
              port: ["--port N", Integer, "port to listen at (9797); 0 for any that is free"],
              operator: ["--operator", nil, "allow changes: cancel, retry, resolve, ...; else it is read-only"],
              hosts: ["--host A,B", Array, "names it is reached by, besides localhost"] do |c|
        require_relative "../dashboard"
        require_relative "../dashboard/server"
        c.operator.client.check_extension
        app = Dashboard.new(c.operator.connection, operator: c.options.fetch(:operator, false),
                                                   hosts: Dashboard::LOCAL + c.options.fetch(:hosts, []).map(&:downcase))
        server = Dashboard::Server.new(app, bind: c.options.fetch(:bind, "127.0.0.1"), port: c.options.fetch(:port, 9797), log: TaskerCore.log)
        %w[INT TERM].each { |signal| trap(signal) { server.stop } }
        c.out.json({ url: server.url })
        c.out.say("dashboard at #{server.url} (#{c.options[:operator] ? "operator" : "read-only"})")
        c.out.flush
        server.run
        OK
      rescue SystemCallError => e
        raise Quit.new(FORCED, "tasker: cannot listen: #{e.message}")
      end
    end
  end
end
