# Shell: builtins and programs in turn, pipelines, files, subshells, here documents, an exec at the end.
# Runs in every POSIX shell. Only shell.log is a log; other.txt and the pipes are not.
number=0
while [ $number -lt 60 ]; do
    echo "builtin $number"
    /bin/echo "program $number"
    printf 'printf %s\n' $number
    echo "stderr $number" >&2
    /bin/echo "program on stderr $number" >&2
    echo "log $number" >>shell.log
    /bin/echo "program into the log $number" >>shell.log
    echo "into another file $number" >>other.txt
    number=$((number + 1))
done
printf 'c\nb\na\n' | sort | cat
(echo "subshell"; echo "subshell on stderr" >&2)
cat <<END
here document, line 1
here document, line 2
END
text=$(echo substituted; /bin/echo by a program)
echo "$text"
ls /nonexistent 2>/dev/null || echo "ls failed as it should"
seq 1 2000 | sed -n /99/p
{ echo "grouped"; /bin/echo "by a program"; } >grouped.txt
cat grouped.txt
(sh -c 'kill -9 $$'; echo "status of the killed: $?") 2>/dev/null
exec /bin/echo "the last program in place"
