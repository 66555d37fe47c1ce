// SPDX-License-Identifier: Apache-2.0

/// The exit codes, in one place.
public enum ExitStatus {
    /// Everything that was verified is right.
    public static let passed: Int32 = 0
    /// There are findings.
    public static let failed: Int32 = 1
    /// libvirt, QEMU or the guest failed, or a record is damaged.
    public static let infrastructure: Int32 = 2
    /// Not everything could be verified.
    public static let incomplete: Int32 = 4
    /// Wrong use.
    public static let usage: Int32 = 64
    /// SIGINT or SIGHUP ended a run.
    public static let interrupted: Int32 = 130
    /// SIGTERM ended a run.
    public static let terminated: Int32 = 143

    /// What the codes of a run mean, for its help.
    public static let help = """
        Exit codes: 0 everything verified is right; 1 there are findings; 2 libvirt, QEMU or the guest failed, or a \
        record is damaged; 4 not everything could be verified; 64 wrong use; 130 interrupted, 143 terminated.
        """

    /// What `git bisect run` takes from a command: 125 for a commit that cannot be tested.
    private static let untestable: Int32 = 125

    /// The exit code of a run with `--bisect`: 0 and 1 say that the kernel is good or bad, and everything that says nothing
    /// about it is one code. A signal's stay: above 127 the bisection ends, as somebody intended who sent it.
    public static func forBisection(_ status: Int32) -> Int32 {
        [passed, failed, interrupted, terminated].contains(status) ? status : untestable
    }
}
