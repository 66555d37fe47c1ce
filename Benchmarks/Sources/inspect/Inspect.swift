// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What `Benchmarks/inspect` needs beside the program: a dump to inspect, the reference for it, and how fast an account of a
/// million entries is searched.
///
///     inspect make DUMP            writes the sparse dump of a 4K hash kernel with 16 GiB
///     inspect read DUMP SMALL      reads of DUMP the pages that a reduced dump of it has, and prints the seconds
///     inspect index                translates a million addresses, beside a linear scan for some of them
@main
struct Inspect {
    struct Failure: Error {
        let text: String
    }

    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        switch (arguments.first, arguments.count) {
        case ("make", 2): try LargeDump.write(to: arguments[2])
        case ("read", 3): print("\(try NeededPages.read(of: arguments[2], asIn: arguments[3]))")
        case ("index", 1): exit(try Index.measure() ? 0 : 1)
        default: throw Failure(text: "inspect make DUMP, read DUMP SMALL, or index")
        }
    }
}
