# SPDX-License-Identifier: MIT
# log.sh: access logs (combined format) as awk sees them: one made up, what is counted in one, and what a limit would deny. Sourced.
# Everything here goes without Quipu: it is what Quipu's figures are compared with.
# shellcheck shell=bash

# 10,000 requests from a fixed seed. The ranks are spread evenly over their logarithms, so that the first address and
# the first path are met most, as in a real log, ten a second; some paths have queries, quotes, and bytes that are no UTF-8.
make_up_log() {
    awk '
        function random(n) { seed = (seed * 16807) % 2147483647; return seed % n }
        function rank(n) { return int(exp(random(1000000) / 1000000 * log(n))) }
        BEGIN {
            seed = 20260131
            for (i = 0; i < 10000; i++) {
                a = rank(2000); p = rank(1500)
                path = "/page/" p
                if (p % 7 == 0) path = path "/caf\303\251"
                if (p % 11 == 0) path = path "/\\x22\\\\" p "\\\""
                if (p % 13 == 0) path = path "/\351t\351"
                if (random(4) == 0) path = path "?q=" random(1000)
                request = random(20) ? "GET " path " HTTP/1.1" : "-"
                printf "198.51.%d.%d - - [31/Jan/2026:10:%02d:%02d +0000] \"%s\" 200 %d \"-\" \"made up\"\n",
                    int(a / 250), a % 250, int(i / 600) % 60, int(i / 10) % 60, request, random(50000)
            }
        }'
}

# The two keys of each request, a line each: the address up to the first blank, and the second word between the first
# quotes (or all of it, if it is one word) up to a question mark. Keys have at most 1,024 bytes.
request_keys() {
    awk '
        length($0) == 0 { next }
        {
            blank = index($0, " ")
            address = blank ? substr($0, 1, blank - 1) : $0
            quote = index($0, "\"")
            target = "-"
            if (quote) {
                request = substr($0, quote + 1)
                match(request, /^([^"\\]|\\.)*/)
                request = substr(request, 1, RLENGTH)
                target = split(request, words, /[ ]/) > 1 ? words[2] : request
                sub(/[?].*/, "", target)
            }
            print substr("addr:" address, 1, 1024)
            print substr("path:" target, 1, 1024)
        }' "$@"
}

# limited_by_awk LIMIT WINDOW_SECONDS [LOG]: what a limit of so many requests of an address in each window of unix time does, as a
# line "DENIED TOTAL ADMITTED KEY" for each address; TOTAL is what was admitted in the last window of the log. Logs are written when
# requests end, so their times go back at times: a request's time is the latest one up to it.
limited_by_awk() {
    awk -v limit="$1" -v window_seconds="$2" '
        # Since 1970-01-01, by years that begin in March.
        function days(year, month, day) {
            if (month < 3) { year--; month += 12 }
            return year * 365 + int(year / 4) - int(year / 100) + int(year / 400) + int((153 * month - 457) / 5) + day - 719469
        }
        function unix_seconds(text, month, zone) { # 17/May/2015:10:05:03 +0000
            month = (index("JanFebMarAprMayJunJulAugSepOctNovDec", substr(text, 4, 3)) + 2) / 3
            zone = (substr(text, 23, 2) * 60 + substr(text, 25, 2)) * 60
            return ((days(substr(text, 8, 4), month, substr(text, 1, 2)) * 24 + substr(text, 13, 2)) * 60 + \
                substr(text, 16, 2)) * 60 + substr(text, 19, 2) - (substr(text, 22, 1) == "-" ? -zone : zone)
        }
        match($0, /\[[0-9][0-9]\/[A-Z][a-z][a-z]\/[0-9][0-9][0-9][0-9]:[0-9][0-9]:[0-9][0-9]:[0-9][0-9] [-+][0-9][0-9][0-9][0-9]\]/) {
            seconds = unix_seconds(substr($0, RSTART + 1, RLENGTH - 2))
            if (seconds > now)
                now = seconds
            window = int(now / window_seconds)
            if (window != last_window) {
                split("", total)
                last_window = window
            }
            key = substr("addr:" substr($0, 1, index($0, " ") - 1), 1, 1024)
            if (total[key] < limit) {
                total[key]++
                admitted[key]++
            } else
                denied[key]++
        }
        END {
            for (key in admitted)
                print denied[key] + 0, total[key] + 0, admitted[key], key
        }' "${@:3}"
}
