# Ruby: puts, print, warn, syswrite, Logger into stderr and into a file, a child.
require "logger"

$stdout.sync = true
plain = proc { |severity, _time, _program, message| "#{severity} #{message}\n" }
to_file = Logger.new(File.open("ruby.log", "w"), formatter: plain)
to_stderr = Logger.new($stderr, formatter: plain)
200.times do |line|
  puts "puts #{line}"
  print "print ", line, "\n"
  $stdout.syswrite("syswrite #{line}\n")
  warn "warn #{line}"
  to_stderr.error("logger #{line}")
  to_file.info("log #{line}")
end
system("echo from a child")
Process.wait(fork { puts "from a forked child" })
puts "read: " + `echo read back`
threads = 3.times.map { |number| Thread.new { number } }
puts threads.sum(&:value)
exit 2
