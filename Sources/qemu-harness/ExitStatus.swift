// SPDX-License-Identifier: Apache-2.0

/// The exit codes, in one place.
enum ExitStatus {
    static let passed: Int32 = 0
    static let failed: Int32 = 1
    static let infrastructure: Int32 = 2
    static let incomplete: Int32 = 4
    static let usage: Int32 = 64
    static let interrupted: Int32 = 130
    static let terminated: Int32 = 143

    /// What the codes of a run mean, for its help.
    static let help = """
        Exit codes: 0 everything verified is right; 1 there are findings; 2 libvirt, QEMU or the guest failed, or a \
        record is damaged; 4 not everything could be verified; 64 wrong use; 130 interrupted, 143 terminated.
        """

    /// What `git bisect run` takes from a command: 125 for a commit that cannot be tested.
    static let untestable: Int32 = 125

    /// The exit code of a run with `--bisect`: 0 and 1 say that the kernel is good or bad, and everything that says nothing
    /// about it is one code. A signal's stay: above 127 the bisection ends, as somebody wanted who sent it.
    static func forBisection(_ status: Int32) -> Int32 {
        [passed, failed, interrupted, terminated].contains(status) ? status : untestable
    }
}
