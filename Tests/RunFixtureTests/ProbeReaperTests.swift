// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RunFixture

/// Which dead children are nobody else's to wait for.
@Suite struct ProbeReaperTests {
    private static let threadNames: Set = ["qemu-harness", "oot.default-qos", "vir-event (x)"]

    @Test(arguments: [
        ("812 (qemu-system-ppc) Z 700 812 812 0 -1", true), ("812 (my qemu) Z 700 812 812 0 -1", true),
        // It lives, it is another's child, or one of this program's own session.
        ("812 (qemu-system-ppc) S 700 812 812 0 -1", false), ("812 (qemu-system-ppc) Z 1 812 812 0 -1", false),
        ("812 (qemu-system-ppc) Z 700 812 600 0 -1", false),
        // libvirt's own go-between, forked by the main thread, by one of a pool, and by one with an odd name.
        ("812 (qemu-harness) Z 700 812 812 0 -1", false), ("812 (oot.default-qos) Z 700 812 812 0 -1", false),
        ("812 (vir-event (x)) Z 700 812 812 0 -1", false),
        ("", false), ("812 (qemu", false), ("812 (qemu-system-ppc) Z", false),
    ])
    func aDaemonIsNobodyElses(stat: String, isReaped: Bool) {
        #expect(isEndedDaemon(stat, parent: 700, session: 600, threadNames: Self.threadNames) == isReaped)
    }
}
