//! Programs in Python, Perl, Ruby, PHP, JavaScript, Java and the shells, plain against tapped.

use crate::support::comparison::Program;
use crate::support::compile::compile_java;
use crate::support::machine::require;
use crate::support::running::Streams;
use crate::support::workspace::app;

/// Without `>/dev/null`, for programs that write to `/dev/null` by other ways as well.
const NAMED: [Streams; 3] = [Streams::Pipes, Streams::OnePipe, Streams::Terminal];

fn interpreted(interpreter: &str, source: &str) -> Option<Program> {
    let interpreter = require(interpreter)?;
    Some(Program::new([interpreter, app(source)]))
}

/// The table: a name, the interpreter, the source, and how the program is compared.
macro_rules! interpreted {
    ($($name:ident: $interpreter:literal $source:literal $(. $method:ident($($argument:expr),*))*;)*) => {$(
        #[test]
        fn $name() {
            if let Some(program) = interpreted($interpreter, $source) {
                program$(.$method($($argument),*))*.compare();
            }
        }
    )*};
}

interpreted! {
    python_printing: "python3" "printing.py".environment("PYTHONUNBUFFERED", "1").file("python.log");
    python_children: "python3" "children.py".only(&NAMED);
    python_threads: "python3" "threads.py".several_writers();
    perl: "perl" "writer.pl".file("perl.log");
    ruby: "ruby" "writer.rb".file("ruby.log");
    php: "php" "writer.php".file("php.log").only(&NAMED);
    node: "node" "writer.js".hands_its_stderr_on().file("node.log").file("stream.log");
    bash_loops: "bash" "loops.sh".hands_its_stderr_on().file("shell.log");
    dash_loops: "dash" "loops.sh".hands_its_stderr_on().file("shell.log");
    bash_only: "bash" "bash.sh".file("tee.log").file("fd.log").file("both.txt");
}

#[test]
fn python_with_a_buffered_stdout() {
    if let Some(program) = interpreted("python3", "printing.py") {
        program.file("python.log").only(&[Streams::Pipes, Streams::NullStdout]).compare();
    }
}

#[test]
fn java() {
    let (Some(java), Some(classes)) = (require("java"), compile_java("Writer.java")) else {
        return;
    };
    Program::new([java.into_os_string()])
        .arguments([
            "-XX:TieredStopAtLevel=1".into(),
            "-cp".into(),
            classes.into_os_string(),
            "Writer".into(),
        ])
        .file("java.log")
        .compare();
}
