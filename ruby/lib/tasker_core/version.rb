# frozen_string_literal: true

module TaskerCore
  VERSION = "1.0.0"

  # Major version of the extension this gem speaks to. Within a major version
  # the extension only adds arguments with defaults, result columns and functions.
  EXTENSION_MAJOR = 1
end
