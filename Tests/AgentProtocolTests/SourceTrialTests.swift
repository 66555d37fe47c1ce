// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import Testing

struct SourceTrialTests {
    private static let samples: [(String, [SourceTrial])] = [
        ("kprobe-events", [SourceTrial(.kprobes)]),
        (
            "kprobe-events:vmemmap_populate/22:vmemmap_free/2,dynamic-debug",
            [
                SourceTrial(
                    .kprobes,
                    refusals: [
                        .init(Array("vmemmap_populate".utf8), errno: 22), .init(Array("vmemmap_free".utf8), errno: 2),
                    ]), SourceTrial(.dynamicDebug),
            ]
        ),
        (
            "kprobe-events:/sys/kernel/x/enable/13,dynamic-debug:dynamic_debug/control,snapshots",
            [
                SourceTrial(.kprobes, refusals: [.init(Array("/sys/kernel/x/enable".utf8), errno: 13)]),
                SourceTrial(.dynamicDebug, refusals: [.init(Array("dynamic_debug/control".utf8))]),
                SourceTrial(.snapshots),
            ]
        ),
    ]

    @Test func thereAndBack() {
        for (text, trials) in Self.samples {
            #expect(String(decoding: SourceTrial.encode(trials), as: UTF8.self) == text)
            #expect(SourceTrial.parse(Array(text.utf8)[...]) == trials)
        }
    }

    @Test(arguments: [
        "", ",", "kprobes", "kprobe-events:", "kprobe-events::x", "kprobe-events,", "kprobe-events:/",
        "kprobe-events:x/99999999999999999999", "snapshots,other",
        String(repeating: "snapshots,", count: 17) + "snapshots",
        "kprobe-events" + String(repeating: ":x", count: 17),
    ])
    func nonsense(text: String) {
        #expect(SourceTrial.parse(Array(text.utf8)[...]) == nil)
    }
}
