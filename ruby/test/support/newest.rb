# frozen_string_literal: true

# Loaded first (-r) into every process of `rake test:newest`: the gems of a
# directory of their own win over what the system has, on its load path too.
NEWEST_GEMS = ENV.fetch("TASKER_NEWEST_GEMS")
Gem.use_paths(NEWEST_GEMS, [NEWEST_GEMS, *Gem.path])
Dir.glob("*.gemspec", base: File.join(NEWEST_GEMS, "specifications")).sort.reverse_each do |file|
  # A native gem has its platform behind the version.
  name, version = file.delete_suffix(".gemspec").match(/\A(.+)-(\d[\w.]*?)(?:-.*)?\z/).captures
  gem name, version unless Gem.loaded_specs.key?(name)
rescue Gem::LoadError => e
  warn "#{name}: #{e.message}"
end
