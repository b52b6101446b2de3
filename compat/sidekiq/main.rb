# Sidekiq: a job pushed and worked by `sidekiq`, one that fails and is tried again, one that is due later.
require_relative "jobs"
require "sidekiq/api"

PATIENCE_S = 40
DELAY_S = 1

def result(name)
  _, value = Sidekiq.redis { |redis| redis.blpop("compat:#{name}", timeout: PATIENCE_S) }
  value or raise "nothing of #{name} came"
end

begun = Time.now.to_f
Add.perform_async(2, 3)
FailOnce.perform_async
SayWhen.perform_in(DELAY_S)
raise "one job is scheduled" unless Sidekiq::ScheduledSet.new.size == 1

here = File.expand_path("jobs.rb", __dir__)
worker = spawn("sidekiq", "-r", here, "-c", "2", "-t", "2", out: File::NULL, err: File::NULL)
begin
  sum = result("add")
  raise "2 + 3 is #{sum}" unless sum == "5"
  runs = result("fail_once")
  raise "it ran #{runs} times" unless runs == "2"
  early = begun + DELAY_S - result("say_when").to_f
  raise "#{early} s early" if early > 0.001
ensure
  Process.kill("TERM", worker)
  Process.wait(worker)
end
stats = Sidekiq::Stats.new
raise "the statistics say #{stats.processed} and #{stats.failed}" unless stats.processed == 4 && stats.failed == 1
puts "ok"
