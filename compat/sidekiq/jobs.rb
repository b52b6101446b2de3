# The jobs that `sidekiq` loads.
require "sidekiq"

Sidekiq.configure_server do |config|
  config.redis = { url: ENV.fetch("REDIS_URL") }
  # How often the schedule and the retries are looked at, in seconds; by default it is a quarter of a minute.
  config.options[:poll_interval_average] = 1
end
Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch("REDIS_URL") } }

def note(name, value)
  Sidekiq.redis { |redis| redis.rpush("compat:#{name}", value.to_s) }
end

class Add
  include Sidekiq::Job

  def perform(left, right)
    note("add", left + right)
  end
end

class FailOnce
  include Sidekiq::Job
  sidekiq_options retry: 1
  sidekiq_retry_in { 1 }

  def perform
    runs = Sidekiq.redis { |redis| redis.incr("compat:runs") }
    raise "the first run fails, as it is to" if runs == 1
    note("fail_once", runs)
  end
end

class SayWhen
  include Sidekiq::Job

  def perform
    note("say_when", Time.now.to_f)
  end
end
