//! The screen of `logtap recv`: in tmux, with keys that are typed and screens that are read.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::capture;
use crate::support::compile::compile;
use crate::support::machine::require;
use crate::support::workspace::{Workspace, command, logtap};

/// A terminal of a test's own, and what runs in it.
struct Terminal {
    tmux: PathBuf,
    socket: PathBuf,
}

impl Terminal {
    /// A terminal in which a shell runs a script.
    fn start(workspace: &Workspace, script: &str) -> Option<Self> {
        let terminal = Self { tmux: require("tmux")?, socket: workspace.join("tmux") };
        let file = workspace.join("script.sh");
        std::fs::write(&file, script).expect("a fresh directory takes a file");
        let shell = format!("exec bash --norc {}", file.display());
        let mut start = terminal.command();
        start.args(["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", &shell]);
        succeed(start);
        Some(terminal)
    }

    fn command(&self) -> Command {
        let mut tmux = command(&self.tmux);
        tmux.arg("-u").arg("-S").arg(&self.socket);
        tmux
    }

    /// What is on the screen now.
    fn screen(&self) -> String {
        let mut capture = self.command();
        capture.args(["capture-pane", "-p"]);
        String::from_utf8(succeed(capture).stdout).expect("a screen is text")
    }

    /// Waits until the screen is as it should be, and returns it.
    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "never {what}:\n{screen}");
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a text is on the screen.
    fn wait_for(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Types a text.
    fn text(&self, text: &str) {
        let mut send = self.command();
        send.args(["send-keys", "-l", text]);
        succeed(send);
    }

    /// Presses keys by their names.
    fn keys(&self, keys: &[&str]) {
        let mut send = self.command();
        send.arg("send-keys").args(keys);
        succeed(send);
    }

    fn resize(&self, columns: &str, rows: &str) {
        let mut resize = self.command();
        resize.args(["resize-window", "-x", columns, "-y", rows]);
        succeed(resize);
    }

    /// The terminal as the programs in it have it.
    fn tty(&self) -> File {
        let mut name = self.command();
        name.args(["display-message", "-p", "#{pane_tty}"]);
        let name = String::from_utf8(succeed(name).stdout).expect("a path");
        let flags = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
        let mut options = File::options();
        options.read(true).write(true).custom_flags(flags);
        options.open(name.trim()).expect("it opens")
    }

    /// The port that the title names.
    fn port(&self) -> u16 {
        let title = self.wait_for("logtap http://127.0.0.1:");
        let (_, rest) = title.split_once("logtap http://127.0.0.1:").expect("it was waited for");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a port")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut kill = self.command();
        kill.arg("kill-server");
        drop(kill.output());
    }
}

fn succeed(mut command: Command) -> Output {
    let output = command.output().expect("tmux runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {errors}");
    output
}

/// Pushes lines `line-NNNN`, every tenth of them an error.
fn push(port: u16, numbers: std::ops::Range<u64>) {
    let values: Vec<String> = numbers
        .map(|number| {
            let level = if number % 10 == 7 { "ERROR" } else { "INFO" };
            format!("[\"{}\",\"{level} line-{number:04}\"]", 1_705_313_999_000_000_000 + number)
        })
        .collect();
    push_values(port, "{\"app\":\"web\"}", &values.join(","));
}

/// Pushes values of one stream, both in JSON.
fn push_values(port: u16, stream: &str, values: &str) {
    let body = format!("{{\"streams\":[{{\"stream\":{stream},\"values\":[{values}]}}]}}");
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(
        connection,
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it takes the push");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

/// Runs the receiver, leaves its process id in a file, and shows how the terminal is afterwards.
fn script(capture: &Path) -> String {
    format!(
        "cd {}\nbash -c 'echo $$ >pid; exec {} recv --listen 127.0.0.1:0 --dir {}'\necho \"ended with $?\"\nstty -a\nexec sleep 1000\n",
        capture.parent().expect("it is in a directory").display(),
        logtap().display(),
        capture.display()
    )
}

fn messages(directory: &Path) -> Vec<String> {
    capture::read(directory)
        .iter()
        .map(|line| String::from_utf8_lossy(&line.text).into_owned())
        .collect()
}

#[test]
fn keys_move_search_filter_and_export_in_the_whole_capture() {
    let workspace = Workspace::new();
    let (directory, exported) = (workspace.join("capture"), workspace.join("exported"));
    let Some(terminal) = Terminal::start(&workspace, &script(&directory)) else { return };
    let port = terminal.port();
    terminal.wait_for("no lines yet");
    push(port, 0..3000);
    terminal.wait("followed", |s| s.contains("line-2999") && s.contains("FOLLOW"));
    terminal.text("gg");
    terminal.wait("at the first line", |s| s.contains("line-0000") && !s.contains("line-2999"));
    push(port, 3000..3100);
    terminal.wait("standing still", |s| s.contains("line-0000") && s.contains("+100 new"));

    terminal.text("/=line-1.*7$");
    terminal.keys(&["Enter"]);
    terminal.wait_for("[100 lines]");
    terminal.text("/line-1[23]57");
    terminal.keys(&["Enter"]);
    // It jumps to the first match by itself.
    terminal.wait_for("[1/2] /line-1[23]57");
    terminal.text("n");
    terminal.wait("at the second match", |s| {
        s.contains("[2/2]")
            && s.lines().any(|l| l.starts_with('\u{258c}') && l.contains("line-1357"))
    });
    terminal.text("w");
    terminal.text(&exported.display().to_string());
    terminal.keys(&["Enter"]);
    terminal.wait_for("wrote 100 lines");

    terminal.keys(&["Escape"]);
    terminal.wait("without the search", |s| !s.contains("[2/2]") && s.contains("GREP"));
    terminal.keys(&["Escape"]);
    terminal.wait("without the filter", |s| !s.contains("GREP") && s.contains("line-1358"));
    terminal.text("?");
    terminal.wait_for("half a page down, up");
    terminal.keys(&["Escape"]);
    terminal.wait("without the help", |s| !s.contains("half a page"));
    terminal.resize("60", "10");
    terminal.text("G");
    terminal.wait("small", |s| s.contains("line-3099") && !s.contains("dropped"));
    terminal.resize("100", "50");
    terminal.wait("large", |s| s.contains("line-3070") && s.contains("dropped"));
    terminal.text("q");
    let screen = terminal.wait_for("ended with 0");
    assert!(screen.contains("done: 3,100 lines"), "{screen}");
    let restored = terminal.wait_for("icanon");
    assert!(!restored.contains("-icanon") && !restored.contains("-echo "), "{restored}");

    let all: Vec<String> = messages(&directory);
    assert_eq!(all.len(), 3100);
    let expected: Vec<&String> =
        all.iter().filter(|line| line.contains("line-1") && line.ends_with('7')).collect();
    assert_eq!(messages(&exported).iter().collect::<Vec<_>>(), expected);
}

#[test]
fn control_z_gives_the_terminal_to_the_shell_and_back() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let script = "PS1='ready> ' exec bash --norc -i\n";
    let Some(terminal) = Terminal::start(&workspace, script) else { return };
    terminal.wait_for("ready>");
    let line =
        format!("{} recv --listen 127.0.0.1:0 --dir {}", logtap().display(), directory.display());
    terminal.text(&line);
    terminal.keys(&["Enter"]);
    push(terminal.port(), 0..10);
    terminal.wait_for("line-0009");
    terminal.keys(&["C-z"]);
    terminal.wait_for("Stopped");
    terminal.text("fg");
    terminal.keys(&["Enter"]);
    terminal.wait("back", |s| s.contains("line-0009") && s.contains("FOLLOW"));
    push(terminal.port(), 10..20);
    terminal.wait_for("line-0019");
    terminal.keys(&["C-c"]);
    terminal.wait_for("done: 20 lines");
    assert_eq!(messages(&directory).len(), 20);
}

#[test]
fn nothing_in_a_line_reaches_the_terminal_as_a_command() {
    let workspace = Workspace::new();
    let (directory, written) = (workspace.join("capture"), workspace.join("written"));
    let Some(terminal) = Terminal::start(&workspace, &script(&directory)) else { return };
    let port = terminal.port();
    terminal.wait_for("no lines yet");
    let mut pipe = terminal.command();
    pipe.args(["pipe-pane", &format!("cat >{}", written.display())]);
    succeed(pipe);
    // A title, the clipboard, another screen, a report, and the same by one byte.
    let hostile = "\\u001b]0;owned\\u0007 \\u001b]52;c;b3duZWQ=\\u0007 \\u001b[?1049l\\u001b[6n\\u009b2J\\u202e";
    let stream = format!("{{\"app\":\"web{hostile}\"}}");
    push_values(port, &stream, &format!("[\"1705313999000000000\",\"first {hostile} last\"]"));
    let screen = terminal.wait_for("first");
    assert!(screen.contains("\u{241b}]0;owned\u{2407}"), "{screen}");
    terminal.keys(&["Enter"]);
    terminal.wait("in full", |s| s.contains("Esc closes") && s.contains("last"));
    terminal.keys(&["Escape"]);
    terminal.wait("closed", |s| !s.contains("Esc closes"));
    // The pane's output goes through tmux: what it has passed on by now is not all.
    terminal.keys(&["q"]);
    terminal.wait_for("ended with 0");
    let written = std::fs::read(&written).expect("tmux wrote it");
    assert!(written.windows(5).any(|bytes| bytes == b"owned"), "nothing was written");
    let forbidden: [&[u8]; 5] = [b"\x1b]0;", b"\x1b]52;", b"\x1b[6n", b"\xc2\x9b", b"\xe2\x80\xae"];
    for sequence in forbidden {
        let found = written.windows(sequence.len()).position(|bytes| bytes == sequence);
        assert_eq!(found, None, "{:?}", String::from_utf8_lossy(sequence));
    }
}

#[test]
fn stopped_and_continued_from_outside_it_takes_the_terminal_again() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let Some(terminal) = Terminal::start(&workspace, &script(&directory)) else { return };
    push(terminal.port(), 0..10);
    terminal.wait_for("line-0009");
    let pid = std::fs::read_to_string(workspace.join("pid")).expect("the script wrote it");
    let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("it runs");
    // Somebody else uses the terminal meanwhile.
    let tty = terminal.tty();
    let mut restore = command("stty");
    restore.arg("sane").stdin(tty.try_clone().expect("a file"));
    succeed(restore);
    (&tty).write_all(b"\x1b[?1049l\x1b[2J somebody else").expect("a terminal takes text");
    terminal.wait("taken over", |s| s.contains("somebody else") && !s.contains("line-0009"));
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("it is there");
    terminal.wait("back", |s| s.contains("line-0009") && !s.contains("somebody else"));
    // A key without the Enter that a terminal waits for that nobody has taken.
    terminal.text("?");
    terminal.wait_for("half a page down, up");
    terminal.keys(&["Escape"]);
    terminal.wait("closed", |s| !s.contains("half a page down, up"));
    terminal.keys(&["q"]);
    terminal.wait_for("ended with 0");
    assert_eq!(messages(&directory).len(), 10);
}

#[test]
fn a_signal_gives_the_terminal_back_and_ends_the_capture() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let Some(terminal) = Terminal::start(&workspace, &script(&directory)) else { return };
    push(terminal.port(), 0..5);
    terminal.wait_for("line-0004");
    let pid = std::fs::read_to_string(workspace.join("pid")).expect("the script wrote it");
    let pid = pid.trim().parse().expect("a number");
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    terminal.wait_for("ended with 0");
    terminal.wait_for("icanon");
    assert_eq!(messages(&directory).len(), 5);
}

#[test]
fn a_terminal_that_takes_nothing_keeps_nobody_waiting() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let Some(terminal) = Terminal::start(&workspace, &script(&directory)) else { return };
    let port = terminal.port();
    push(port, 0..5);
    terminal.wait_for("line-0004");
    let tty = terminal.tty();
    let stop = || rustix::termios::tcflow(&tty, rustix::termios::Action::OOff).expect("it stops");
    let go_on = || rustix::termios::tcflow(&tty, rustix::termios::Action::OOn).expect("it goes on");
    stop();
    push(port, 5..10);
    go_on();
    terminal.wait_for("line-0009");
    stop();
    // Pushes are taken, and a signal ends it in order.
    push(port, 10..200);
    let pid = std::fs::read_to_string(workspace.join("pid")).expect("the script wrote it");
    let process = PathBuf::from("/proc").join(pid.trim());
    let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let deadline = Instant::now() + PATIENCE;
    while process.exists() {
        assert!(Instant::now() < deadline, "it waits for the terminal");
        sleep(Duration::from_millis(50));
    }
    let metadata = std::fs::read_to_string(directory.join("metadata.json")).expect("it is there");
    assert!(metadata.contains("\"total_lines\": 200"), "{metadata}");
    assert_eq!(messages(&directory).len(), 200);
    go_on();
    terminal.wait_for("ended with 0");
}

#[test]
fn a_mistake_of_the_screen_costs_the_screen_and_nothing_else() {
    let workspace = Workspace::new();
    let (directory, trigger) = (workspace.join("capture"), workspace.join("fail"));
    let flags = ["-O1", "-shared", "-fPIC"];
    let Some(clock) = compile("gcc", "clock_that_fails_once.c", &flags) else { return };
    let settings = format!(
        "export RUST_BACKTRACE=0 CLOCK_FAILS={} LD_PRELOAD={}\n",
        trigger.display(),
        clock.display()
    );
    let script = settings + &script(&directory);
    let Some(terminal) = Terminal::start(&workspace, &script) else { return };
    let port = terminal.port();
    push(port, 0..10);
    terminal.wait_for("line-0009");
    std::fs::write(&trigger, "").expect("a fresh directory takes a file");
    let screen = terminal.wait_for("the receiver goes on");
    // The terminal is as it was, and what went wrong can be read.
    assert!(screen.contains("panicked at") && !screen.contains("line-0009"), "{screen}");
    push(port, 10..20);
    terminal.keys(&["C-c"]);
    terminal.wait_for("ended with 1");
    let screen = terminal.wait_for("icanon");
    assert!(screen.contains("error: the screen has failed"), "{screen}");
    assert!(screen.contains("done: 20 lines"), "{screen}");
    assert!(!screen.contains("-icanon") && !screen.contains("-echo "), "{screen}");
    assert_eq!(messages(&directory).len(), 20);
}

#[test]
fn warnings_are_counted_listed_and_told_in_the_end_if_nobody_has_read_them() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let Some(terminal) = Terminal::start(&workspace, &script(&directory)) else { return };
    let port = terminal.port();
    terminal.wait_for("no lines yet");
    // A TLS client where there is no TLS is warned of.
    let hello = |port: u16| {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        connection.write_all(b"\x16\x03\x01\x00\x01\x01\r\n\r\n").expect("it takes bytes");
        let mut answer = Vec::new();
        // Whatever the answer is, the warning was given by then.
        drop(connection.read_to_end(&mut answer));
    };
    hello(port);
    terminal.wait_for("! 1 WARNING");
    terminal.text("!");
    terminal.wait("listed", |s| s.contains("the newest first") && !s.contains("! 1 WARNING"));
    terminal.keys(&["Escape"]);
    terminal.wait("read", |s| s.contains("FOLLOW") && !s.contains("WARNING"));
    push(port, 0..5);
    terminal.wait_for("line-0004");
    // Another one, that nobody reads.
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(
        connection,
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: 999999999999\r\n\r\n"
    )
    .expect("it takes the head");
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"HTTP/1.1 413");
    terminal.wait_for("! 1 WARNING");
    terminal.text("q");
    let screen = terminal.wait_for("ended with 0");
    let told: Vec<&str> = screen.lines().filter(|l| l.starts_with("logtap: warning: 2")).collect();
    assert_eq!(told.len(), 1, "{screen}");
    assert!(screen.contains("done: 5 lines"), "{screen}");
}

#[test]
fn when_the_terminal_goes_the_receiver_ends_the_capture() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let Some(terminal) = Terminal::start(&workspace, &script(&directory)) else { return };
    push(terminal.port(), 0..5);
    terminal.wait_for("line-0004");
    drop(terminal);
    let deadline = Instant::now() + PATIENCE;
    let is_stopped = || {
        let metadata = std::fs::read_to_string(directory.join("metadata.json")).unwrap_or_default();
        metadata.contains("\"total_lines\": 5")
    };
    while !is_stopped() {
        assert!(Instant::now() < deadline, "the capture was never ended");
        sleep(Duration::from_millis(50));
    }
    assert_eq!(messages(&directory).len(), 5);
}
