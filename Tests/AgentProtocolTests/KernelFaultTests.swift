// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Testing

/// Reports as powerpc kernels print them; their sources are named at `KernelFault`.
struct KernelFaultTests {
    struct Told: Equatable, CustomStringConvertible {
        let fault: KernelFault
        var lines: [String]
        var description: String { "\(fault) \(lines)" }
    }

    private func told(_ log: String) -> [Told] {
        var reader = KernelFaultReader()
        var told: [Told] = []
        for line in log.split(separator: "\n", omittingEmptySubsequences: false) {
            switch reader.take(Array(line.utf8)[...]) {
            case .began(let fault, let lines):
                told.append(Told(fault: fault, lines: lines.map { String(decoding: $0, as: UTF8.self) }))
            case .line(let line): told[told.count - 1].lines.append(String(decoding: line, as: UTF8.self))
            case nil: break
            }
        }
        return told
    }

    private static let cutHere = "------------[ cut here ]------------"
    private static let endTrace = "---[ end trace 0000000000000000 ]---"
    private static let calls = """
        Modules linked in:
        CPU: 0 PID: 27 Comm: kworker/u2:1 Not tainted 6.1.0-37-powerpc64le #1  Debian 6.1.140-1
        Workqueue: pseries hotplug workqueue pseries_hp_work_fn
        NIP:  c0000000000a2c38 LR: c0000000000a2c0c CTR: c0000000000f2e10
        GPR00: c0000000000a2c0c c000000003617510 c0000000028b3a00 0000000000000001
        NIP [c0000000000a2c38] vmemmap_list_free+0x38/0x140
        LR [c0000000000a2c0c] vmemmap_list_free+0xc/0x140
        Call Trace:
        [c000000003617510] [c0000000000a2c0c] vmemmap_list_free+0xc/0x140 (unreliable)
        """
    private static let place = [
        "CPU: 0 PID: 27 Comm: kworker/u2:1 Not tainted 6.1.0-37-powerpc64le #1  Debian 6.1.140-1",
        "Workqueue: pseries hotplug workqueue pseries_hp_work_fn",
        "NIP [c0000000000a2c38] vmemmap_list_free+0x38/0x140",
    ]

    static let reports: [(String, [Told])] = [
        (
            """
            BUG: Unable to handle kernel data access on read at 0xc000010000000010
            Faulting instruction address: 0xc0000000000a2c38
            Oops: Kernel access of bad area, sig: 11 [#1]
            LE PAGE_SIZE=64K MMU=Hash SMP NR_CPUS=2048 NUMA pSeries
            \(calls)
            \(endTrace)
            """,
            [
                Told(
                    fault: .oops,
                    lines: [
                        "BUG: Unable to handle kernel data access on read at 0xc000010000000010",
                        "Oops: Kernel access of bad area, sig: 11 [#1]",
                    ] + place)
            ]
        ),
        (
            """
            BUG: Kernel NULL pointer dereference on write at 0x00000000
            Oops: Kernel access of bad area, sig: 11 [#1]
            \(endTrace)
            BUG: Kernel NULL pointer dereference on write at 0x00000000
            Oops: Kernel access of bad area, sig: 11 [#2]
            """,
            (1...2).map {
                Told(
                    fault: .oops,
                    lines: [
                        "BUG: Kernel NULL pointer dereference on write at 0x00000000",
                        "Oops: Kernel access of bad area, sig: 11 [#\($0)]",
                    ])
            }
        ),
        (
            "Oops: Unrecoverable exception, sig: 6 [#1]\nOops: Kernel access of bad area, sig: 11 [#2]",
            [
                Told(fault: .oops, lines: ["Oops: Unrecoverable exception, sig: 6 [#1]"]),
                Told(fault: .oops, lines: ["Oops: Kernel access of bad area, sig: 11 [#2]"]),
            ]
        ),
        (
            """
            \(cutHere)
            kernel BUG at mm/sparse.c:123!
            Oops: Exception in kernel mode, sig: 5 [#1]
            \(calls)
            \(endTrace)
            NIP [c000000000000000] somebody_else+0x0/0x10
            """,
            [
                Told(
                    fault: .bug,
                    lines: ["kernel BUG at mm/sparse.c:123!", "Oops: Exception in kernel mode, sig: 5 [#1]"] + place)
            ]
        ),
        (
            """
            \(cutHere)
            WARNING: CPU: 0 PID: 27 at mm/memory_hotplug.c:1105 add_pages+0x30/0xc0
            \(calls)
            \(endTrace)
            """,
            [
                Told(
                    fault: .warning,
                    lines: ["WARNING: CPU: 0 PID: 27 at mm/memory_hotplug.c:1105 add_pages+0x30/0xc0"] + place)
            ]
        ),
        // Its words come first.
        (
            """
            \(cutHere)
            refcount_t: underflow; use-after-free.
            WARNING: lib/refcount.c:28 at refcount_warn_saturate+0x1c/0x30, CPU#0: kworker/u4:1/28
            \(endTrace)
            """,
            [
                Told(
                    fault: .warning,
                    lines: [
                        "refcount_t: underflow; use-after-free.",
                        "WARNING: lib/refcount.c:28 at refcount_warn_saturate+0x1c/0x30, CPU#0: kworker/u4:1/28",
                    ])
            ]
        ),
        // Whose `cut here` was lost.
        (
            "WARNING: at add_pages+0x30/0xc0, CPU#0: kworker/u4:1/28",
            [Told(fault: .warning, lines: ["WARNING: at add_pages+0x30/0xc0, CPU#0: kworker/u4:1/28"])]
        ),
        (
            "\(cutHere)\nwhat nobody knows\n\(endTrace)",
            [Told(fault: .warning, lines: ["what nobody knows"])]
        ),
        ("\(cutHere)\n\(endTrace)", [Told(fault: .warning, lines: [endTrace])]),
        (
            """

            ======================================================
            WARNING: possible circular locking dependency detected
            6.12.0 #1 Not tainted
            ------------------------------------------------------
            """,
            [Told(fault: .warning, lines: ["WARNING: possible circular locking dependency detected"])]
        ),
        (
            """
            ==================================================================
            BUG: KASAN: slab-use-after-free in vmemmap_list_free+0x38/0x140
            Read of size 8 at addr c000000003617510 by task kworker/u2:1/27
            """,
            [
                Told(
                    fault: .kasan, lines: ["BUG: KASAN: slab-use-after-free in vmemmap_list_free+0x38/0x140"])
            ]
        ),
        (
            "\(cutHere)\nUBSAN: shift-out-of-bounds in mm/sparse.c:12:3\nshift exponent 64 is too large\n\(endTrace)",
            [Told(fault: .ubsan, lines: ["UBSAN: shift-out-of-bounds in mm/sparse.c:12:3"])]
        ),
        (
            "BUG: Bad page state in process kworker/u2:1  pfn:04000",
            [Told(fault: .bug, lines: ["BUG: Bad page state in process kworker/u2:1  pfn:04000"])]
        ),
        (
            "BUG: sleeping function called from invalid context at mm/page_alloc.c:1",
            [Told(fault: .bug, lines: ["BUG: sleeping function called from invalid context at mm/page_alloc.c:1"])]
        ),
        (
            "BUG: KFENCE: use-after-free read in sparse_add_section+0x170/0x4f0",
            [Told(fault: .bug, lines: ["BUG: KFENCE: use-after-free read in sparse_add_section+0x170/0x4f0"])]
        ),
        (
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [kworker/u2:1:27]",
            [Told(fault: .lockup, lines: ["watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [kworker/u2:1:27]"])]
        ),
        (
            """
            watchdog: CPU 1 detected hard LOCKUP on other CPUs 0
            watchdog: CPU 1 TB:5287683334232, last SMP heartbeat TB:5281606533730 (11868ms ago)
            watchdog: CPU 0 Hard LOCKUP
            NIP [c0000000000a2c38] vmemmap_list_free+0x38/0x140
            """,
            [
                Told(
                    fault: .lockup,
                    lines: [
                        "watchdog: CPU 1 detected hard LOCKUP on other CPUs 0", "watchdog: CPU 0 Hard LOCKUP",
                        "NIP [c0000000000a2c38] vmemmap_list_free+0x38/0x140",
                    ])
            ]
        ),
        (
            "watchdog: CPU 3 self-detected hard LOCKUP @ __update_freelist_slow+0x74/0x90",
            [
                Told(
                    fault: .lockup,
                    lines: ["watchdog: CPU 3 self-detected hard LOCKUP @ __update_freelist_slow+0x74/0x90"])
            ]
        ),
        (
            "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
            [
                Told(
                    fault: .lockup,
                    lines: ["BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!"])
            ]
        ),
        (
            """
            rcu: INFO: rcu_sched self-detected stall on CPU
            rcu: \t0-....: (5249 ticks this GP) idle=d1dc/1/0x4000000000000002
            rcu: INFO: rcu_sched detected stalls on CPUs/tasks:
            """,
            [
                Told(
                    fault: .rcuStall,
                    lines: [
                        "rcu: INFO: rcu_sched self-detected stall on CPU",
                        "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
                    ])
            ]
        ),
        (
            "INFO: rcu_tasks_trace detected stalls on tasks:",
            [Told(fault: .rcuStall, lines: ["INFO: rcu_tasks_trace detected stalls on tasks:"])]
        ),
        (
            """
            INFO: task kworker/u2:1:27 blocked for more than 120 seconds.
                  Not tainted 6.1.0-37-powerpc64le #1 Debian 6.1.140-1
            INFO: task init:1 blocked in I/O wait for more than 120 seconds.
            """,
            [
                Told(fault: .hungTask, lines: ["INFO: task kworker/u2:1:27 blocked for more than 120 seconds."]),
                Told(fault: .hungTask, lines: ["INFO: task init:1 blocked in I/O wait for more than 120 seconds."]),
            ]
        ),
        (
            "Kernel panic - not syncing: sysrq triggered crash\nCPU: 0 PID: 1 Comm: init Not tainted 6.1.0",
            [
                Told(
                    fault: .panic,
                    lines: [
                        "Kernel panic - not syncing: sysrq triggered crash",
                        "CPU: 0 PID: 1 Comm: init Not tainted 6.1.0",
                    ])
            ]
        ),
    ]

    @Test(arguments: reports) func areFound(log: String, expected: [Told]) {
        #expect(told(log) == expected)
    }

    /// Kernels say so of devices, of firmware, and of memory that is not to be had.
    @Test(arguments: [
        "", "\n", "WARNING: nvram corruption detected: 0-length partition",
        "WARNING: Ignoring cmdline option disable_radix",
        "kworker/u4:1: vmemmap alloc failure: order:12, mode:0x4cc0(GFP_KERNEL|__GFP_RETRY_MAYFAIL), nodemask=(null)",
        "kworker/u2:1: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=(null),cpuset=/",
        "CPU: 0 UID: 0 PID: 28 Comm: kworker/u4:1 Not tainted 6.12.95+deb12-powerpc64le #1",
        "pseries-hotplug-mem: Memory indexed-count-add failed, removing any added LMBs",
        "watchdog: Delayed init of the lockup detector failed: -19", "rcu: INFO: something else",
        "INFO: task list", "INFO: lockdep is turned off.", "debug: BUG: quoted", "Oops, no", "bug: lower case",
        "---[ end trace 0000000000000000 ]---", "NIP [c0000000000a2c38] nothing+0x0/0x10", "====================",
    ])
    func areNone(log: String) {
        #expect(told(log) == [])
    }

    /// What is told of a report has a limit, in lines and in bytes, and what comes long after it is no part of it.
    @Test func areBounded() {
        let long = "BUG: " + String(repeating: "x", count: 5000)
        let many = String(repeating: "NIP [c0] f+0x0/0x0\n", count: 50)
        let first = told("\(long)\n\(many)")
        #expect(first.map(\.lines.count) == [KernelFaultReader.lineLimit])
        #expect(first.first?.lines.first?.utf8.count == KernelFaultReader.lineByteCount)
        let late = told("BUG: one\n" + String(repeating: "x\n", count: 200) + "CPU: 0 PID: 1 Comm: late")
        #expect(late == [Told(fault: .bug, lines: ["BUG: one"])])
        // A preface without an end is one.
        let endless = told(Self.cutHere + "\n" + String(repeating: "x\n", count: 50))
        #expect(endless.map(\.fault) == [.warning])
        #expect(endless.allSatisfy { $0.lines.count <= KernelFaultReader.lineLimit })
    }
}
