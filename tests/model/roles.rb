# frozen_string_literal: true

module ModelTest
  # A role for each access of docs/security.md, and who has to make a statement so that it is made with as little as
  # possible. The owner makes what moves the clock, and what looks behind the functions.
  class Roles
    ACCESSES = %w[reader worker producer operator].freeze
    VIEWS = %w[workflow_steps workflow_step_edges step_dag_relationships workflow_step_transitions flow_limits].freeze

    def self.role(access) = "tasker_model_#{access}"

    # They outlive the extension, since they are the server's.
    def initialize(server)
      ACCESSES.map { |access| Roles.role(access) }.each do |role|
        server.run("CREATE ROLE #{role}") unless server.value("SELECT true FROM pg_catalog.pg_roles WHERE rolname = $1", [role])
      end
      @accesses = server.rows("SELECT function_name, accesses FROM tasker.function_access()")
                        .to_h { |row| [row[:function_name], row[:accesses].delete("{}").split(",")] }
      @by_statement = {}
      @counts = Hash.new(0)
      ACCESSES.each { |access| server.rows("SELECT tasker.grant_access($1, $2)", [Roles.role(access), access]) }
    end

    def drop(server)
      ACCESSES.map { |access| Roles.role(access) }.each { |role| server.run("DROP OWNED BY #{role}; DROP ROLE #{role}") }
    end

    # @return [String, nil] nil: the owner
    def for(sql)
      role = @by_statement.fetch(sql) { @by_statement[sql] = choose(sql.scan(/\btasker\.(\w+)/).flatten.uniq) }
      @counts[role || "owner"] += 1
      role
    end

    # How many statements each has made.
    attr_reader :counts

    private

    def choose(names)
      shared = names.map { |name| VIEWS.include?(name) ? ["reader"] : @accesses.fetch(name, []) }.reduce(:&)
      access = ACCESSES.find { |one| shared&.include?(one) }
      access && Roles.role(access)
    end
  end
end
