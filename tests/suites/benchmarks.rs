//! The benchmarks that Redis and PostgreSQL come with: not for their speed, but for what they do and count. Client and
//! server are both tapped.

use std::path::Path;

use super::{Results, Run, compare};
use crate::support::machine::{require, require_postgres, skip};
use crate::support::running::free_port;

/// Each line `NAME VERDICT` that a script prints is a result; so is its end.
fn run(script: &str, arguments: &[&str], run: &Run<'_>) -> Results {
    use std::os::unix::fs::PermissionsExt as _;
    // PostgreSQL's user works here too.
    std::fs::set_permissions(run.directory(), std::fs::Permissions::from_mode(0o777))
        .expect("one's own directory can be opened to all");
    let mut command = run.command(Path::new("sh"));
    command.args(["-c", script, "sh", &free_port().to_string()]).args(arguments);
    let (status, stdout, stderr) = run.to_files(command);
    let text = std::fs::read_to_string(stdout).expect("the script prints text");
    let complaint = std::fs::read_to_string(stderr).unwrap_or_default();
    assert!(status.success(), "{status}: {text}\n{complaint}");
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, verdict)| (name.to_owned(), verdict.to_owned()))
        .collect()
}

const REDIS: &str = r#"
port=$1; here=$PWD
redis-server --port $port --bind 127.0.0.1 --save '' --appendonly yes --dir "$here" --logfile '' >server.log 2>&1 &
until redis-cli -p $port ping 2>/dev/null | grep -q PONG; do kill -0 $! || { cat server.log >&2; exit 1; }; sleep 0.05; done
redis-benchmark -p $port -n 2000 -c 20 -d 100 --csv -t ping,set,get,incr,lpush,lrange_100,mset |
    sed -n 's/^"\([A-Z][^"]*\)","[0-9.]*".*/\1\tfinished/p'
redis-benchmark -p $port -n 2000 -P 16 -q -t set,get >pipelined.txt && printf 'pipelined\tfinished\n'
redis-cli -p $port debug sleep 0 >/dev/null
redis-cli -p $port info commandstats | sed -n 's/^cmdstat_\(set\|get\|incr\|lpush\|mset\|ping\):calls=\([0-9]*\),.*failed_calls=\([0-9]*\).*/calls of \1\t\2 failed \3/p' | grep -v 'of ping'
printf 'keys\t%s\n' "$(redis-cli -p $port dbsize)"
redis-cli -p $port bgrewriteaof >/dev/null
redis-cli -p $port shutdown nosave; wait $!; printf 'server\tended with %s\n' $?
"#;

#[test]
fn redis() {
    if ["redis-server", "redis-cli", "redis-benchmark"].into_iter().any(|it| require(it).is_none())
    {
        return;
    }
    compare("redis-benchmark", |this| run(REDIS, &[], this));
}

const POSTGRES: &str = r#"
port=$1; bin=$2; data=$PWD/data
"$bin/initdb" --no-sync --auth=trust --username=postgres --pgdata "$data" >initdb.log 2>&1 || exit 1
"$bin/pg_ctl" -D "$data" -w -t 120 -l server.log \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c log_min_duration_statement=0" start >ctl.log 2>&1 ||
    { cat ctl.log server.log >&2; exit 1; }
export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres PGDATABASE=postgres
"$bin/pgbench" -i -q -s 1 2>init.log; printf 'initialised\t%s\n' $?
for mode in simple extended prepared; do
    "$bin/pgbench" -n -c 4 -j 2 -t 100 -M $mode >bench.txt 2>bench.log; printf '%s\t%s ' $mode $?
    sed -n 's/^number of \(transactions actually processed\|failed transactions\): \([0-9/]*\).*/\1 \2/p' bench.txt | tr '\n' ' '
    echo
done
"$bin/pgbench" -n -S -C -c 2 -t 50 >bench.txt 2>bench.log; printf 'connecting\t%s\n' $?
ask() { "$bin/psql" -X -A -t -c "$1"; }
printf 'history\t%s\n' "$(ask 'select count(*) from pgbench_history')"
printf 'balance\t%s\n' "$(ask 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)')"
printf 'copied\t%s\n' "$(ask 'copy pgbench_accounts to stdout' | wc -l)"
"$bin/pg_ctl" -D "$data" -w -m fast stop >>ctl.log 2>&1; printf 'server\tstopped with %s\n' $?
"#;

#[test]
fn postgresql() {
    let Some(pgbench) = require_postgres("pgbench") else { return };
    if require("setpriv").is_none() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become PostgreSQL's user");
    }
    let programs = pgbench.parent().and_then(Path::to_str).expect("tests use plain paths");
    // The shell that does it all is the user's own.
    let script =
        "exec setpriv --reuid=postgres --regid=postgres --clear-groups sh -c \"$0\" sh \"$@\"";
    let script = script.replace("$0", "$3");
    compare("pgbench", |this| run(&script, &[programs, POSTGRES], this));
}
