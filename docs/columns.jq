# SPDX-License-Identifier: Apache-2.0
#
# The columns of a snapshot and of results.json (schema 3), expanded:
#
#     jq -L docs -r 'include "columns"; .kernelList.entries.phys | elements' snapshot-4.json
#     jq -L docs -c 'include "columns"; .kernelList.entries | rows' snapshot-4.json

def hex: reduce (ascii_downcase | explode[] | if . > 96 then . - 87 else . - 48 end) as $digit (0; . * 16 + $digit);

def digits: [recurse(if . > 15 then . / 16 | floor else empty end) | (. % 16) as $digit
    | "0123456789abcdef"[$digit:$digit + 1]] | reverse | add;

# Numbers of jq's have 53 bits: the last 12 digits are counted with, and those before them stay, as in every run of a kernel's.
def element:
    capture("^0x(?<high>[0-9a-fA-F]*?)(?<low>[0-9a-fA-F]{1,12})( (?<sign>[+-])0x(?<step>[0-9a-fA-F]+))?( [*](?<count>[0-9]+))?$")
    | . as $run | (.low | hex) as $low
    | ((.step // "0" | hex) * (if .sign == "-" then -1 else 1 end)) as $step
    | range(.count // "1" | tonumber) | $low + . * $step
    | if . < 0 or . >= 281474976710656 then error("\($run) needs more than the last 12 digits") else digits end
    | if $run.high == "" then "0x" + . else "0x" + $run.high + "000000000000"[length:] + . end;

# The words or names of a column.
def elements:
    .[] | if test("^0x[0-9a-fA-F]") then element
        else capture("^(?<name>.*?)( [*](?<count>[1-9][0-9]*))?$") as $run
            | range($run.count // "1" | tonumber) | $run.name end;

# The rows of a table, as objects.
def rows: map_values([elements]) | . as $table | keys as $names
    | range($table[$names[0]] | length) as $row | [$names[] | {(.): $table[.][$row]}] | add;
