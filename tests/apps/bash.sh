# What only bash has: process substitution, printf -v, coprocesses, tee, redirections by name.
for number in {1..30}; do
    printf 'line %03d\n' "$number"
    /bin/echo "program $number" | tee -a tee.log
    echo "both" &>>both.txt
done
exec 7>>fd.log
echo "through descriptor 7" >&7
/bin/echo "a program through descriptor 7" >&7
exec 7>&-
while read -r line; do echo "read: $line"; done < <(seq 1 20)
exec {out}>&1
echo "through a copy of stdout" >&"$out"
exec {out}>&-
echo "a daemon's output" | (cat; echo "after the pipe")
exec 2>>fd.log
echo "stderr is the log now" >&2
ls /nonexistent-for-the-log >/dev/null
exit 13
