# frozen_string_literal: true

# Handlers of the template "welcome":
#   tasker worker -r ./worker.rb --url postgresql:///shop
require "tasker_core"

class LookUp < TaskerCore::StepHandler::Base
  def process(task, _sequence, _step)
    { "mail" => "#{task.context.fetch("user")}@example.org" }
  end
end

class Send < TaskerCore::StepHandler::Base
  def process(task, sequence, step)
    # The first attempt meets a mail server that is busy: what is raised is reported, and the step comes back.
    raise TaskerCore::RetryableError.new("mail server busy", retry_after: 0) if step.attempt == 1

    step.transaction do |connection| # the row and the completion: both or neither
      mail = sequence.results_of("look_up").fetch("mail")
      connection.exec_params("INSERT INTO example_mails VALUES ($1, $2, $3)", [task.task_id, mail, "ruby-worker"])
      "sent"
    end
  end
end

TaskerCore.register(File.expand_path("../welcome.json", __dir__))
