// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
public import Verification

/// What a run is to do: a guest, and the steps that it goes through.
///
/// A run boots the guest first and switches it off last; neither is a step of a plan.
public struct Plan: Equatable, Sendable {
    /// What the plan is for, in a line.
    public var description: String
    /// The guest; what is nil is left to the command line.
    public var guest: Guest
    /// The steps, in order.
    public var steps: [Step]

    /// Makes a plan.
    public init(description: String, guest: Guest = Guest(), steps: [Step]) {
        self.description = description
        self.guest = guest
        self.steps = steps
    }

    /// The guest of a plan. Sizes are in bytes.
    public struct Guest: Equatable, Sendable {
        /// The CPU model: `POWER8`, `POWER9` or `POWER10`.
        public var cpu: String?
        /// A kernel's file, or the name of one that was fetched.
        public var kernel: String?
        /// Memory at boot.
        public var memory: UInt64?
        /// Boot memory and all that can be plugged; nil for what the plan's plugs need.
        public var maximumMemory: UInt64?
        /// Slots for DIMMs; nil for as many as the plan's plugs need.
        public var slots: Int?
        /// Virtual CPUs.
        public var vcpus: Int?
        /// NUMA nodes, which share the boot memory equally.
        public var numaNodes: Int?
        /// The largest page that the hashed page table may hold (`cap-hpt-max-page-size`).
        public var hptPageSize: UInt64?
        /// Whether the guest may have its hashed page table made anew in another size; it may if nil.
        public var hptResizing: Bool?
        /// What is reserved for a crash kernel (`crashkernel=`); nil for a guest that loads none.
        public var crashKernel: UInt64?
        /// The file through which a dump leaves the guest (``DumpTool``); nil where no step takes one.
        public var dumpArea: UInt64?
        /// Words to add to the kernel's command line.
        public var append: String?

        /// A guest that says nothing of itself.
        public init() {}
    }

    /// One step.
    public indirect enum Step: Equatable, Sendable {
        /// Compare the witnesses.
        case verify
        /// The same, and look at each `struct page` of online memory, not at one in each 4 KiB of the memory map.
        case verifyAllStructPages
        /// Plug a DIMM: its size, its NUMA node, and where it goes; the machine chooses what is nil.
        case plug(size: UInt64, node: Int?, base: UInt64?)
        /// Unplug a DIMM.
        case unplug(DIMM)
        /// Wait.
        case wait(Wait)
        /// Have the agent do something in the guest.
        case guest(Action)
        /// Reboot the guest with its DIMMs plugged.
        case reboot
        /// Load the crash kernel, or load it again.
        case loadCrashKernel
        /// Crash the kernel, and compare what the dump-capture kernel reads of it; with a size, while it adds a DIMM of that.
        case crash(inPlug: UInt64? = nil)
        /// Have a tool write a dump in the dump-capture kernel.
        case dump(DumpTool)
        /// Compare the step before with what is expected of it.
        case expect(Expectation)
        /// Take steps several times.
        case `repeat`(times: Int, steps: [Step])
    }

    /// Which DIMM.
    public enum DIMM: Equatable, Sendable {
        /// Counted from 1, in the order of the plugs.
        case number(Int)
        /// The one that was plugged last, of those that are not unplugged.
        case last
    }

    /// A tool that writes dumps, by the name that scripts/guest-tools has for it.
    public enum DumpTool: String, CaseIterable, Sendable {
        /// makedumpfile of Debian 12.
        case makedumpfile
        /// makedumpfile of Debian's unstable suite.
        case makedumpfileUnstable = "makedumpfile-unstable"
    }

    /// What is waited for.
    public enum Wait: Equatable, Sendable {
        /// Until every unplug that the guest was silent about has been done or refused.
        case settled
        /// A time.
        case seconds(Int)
    }

    /// What the agent does in the guest.
    public enum Action: Equatable, Sendable {
        /// Sets a memory block online, by its number in /sys/devices/system/memory.
        case online(UInt64)
        /// Sets a memory block offline.
        case offline(UInt64)
        /// Writes a line to /sys/kernel/dlpar.
        case dlpar(String)
        /// Adds a memory block that the machine has and the kernel does not, by its number: /sys/devices/system/memory/probe.
        case probe(UInt64)
        /// Reads a file; a text that it has to contain.
        case read(path: String, contains: String?)
        /// Holds memory in a DIMM, which the kernel cannot give up then.
        case hold(DIMM)
        /// Holds memory until the kernel has no more than so many bytes for itself.
        case leaveFree(UInt64)
        /// Sets `ibm,pft-size` in the kernel's device tree to the size that the hashed page table has by now.
        case correctHPTSize
        /// Gives back what is held.
        case release
        /// Fills and frees so many bytes of memory again and again, until ``endLoad`` or the kernel's end.
        case load(UInt64)
        /// Ends that.
        case endLoad
    }

    /// What is expected of the step before. What is nil may be anything.
    public struct Expectation: Equatable, Sendable {
        /// Names of findings, all of which are there; the run does not fail because of them.
        public var findings: [String]?
        /// Names of findings that may be there, or not; the run does not fail because of them.
        public var allowed: [String]?
        /// Witnesses that leave something unsaid, each of them; the run is not incomplete because of it.
        public var unsaid: [Witness]?
        /// Entries of the kernel's list.
        public var entries: Int?
        /// Of those, entries that the agent saw being made.
        public var observed: Int?
        /// Present sections.
        public var sections: Int?
        /// Present sections with a block behind every `struct page`.
        public var covered: Int?
        /// `hash` or `radix`.
        public var mmu: String?
        /// The kernel's page size in bytes.
        public var pageSize: UInt64?
        /// The size of a vmemmap page in bytes; nothing tells it where the kernel keeps no list.
        public var vmemmapPageSize: UInt64?
        /// What the newest unplug came to that the running kernel has seen: `removed`, `refused` or `silent`.
        public var unplug: String?
        /// Whether plugged memory holds its own memory map, as the running kernel's newest verification shows: `seen` or
        /// `none`.
        public var altmap: String?
        /// What came of a dump: `complete`, `cut-off` or `failed`.
        public var dump: String?

        /// Expects nothing.
        public init() {}
    }
}

extension Plan {
    /// The tools that write the dumps of the steps.
    public var dumpTools: Set<DumpTool> { Self.dumpTools(of: steps) }

    private static func dumpTools(of steps: [Step]) -> Set<DumpTool> {
        steps.reduce(into: []) { tools, step in
            switch step {
            case .dump(let tool): tools.insert(tool)
            case .repeat(_, let steps): tools.formUnion(dumpTools(of: steps))
            default: break
            }
        }
    }
}

/// What bounds a plan.
public enum PlanLimits {
    /// The longest text, in bytes.
    public static let textByteCount = 64 << 10
    /// The deepest nesting of YAML's mappings and sequences.
    public static let depth = 16
    /// The most steps, those of `repeat` counted as often as they are taken.
    public static let stepCount = 1000
    /// How deep `repeat` may be nested.
    public static let repeatDepth = 3
    /// The most times of a `repeat`.
    public static let repeatTimes = 500
    /// The least memory for a crash kernel: a kernel, the agent, and what both need.
    public static let leastCrashKernel: UInt64 = 128 << 20
    /// What the kernel may be left to allocate from; with less it cannot do the least.
    public static let leftFree: ClosedRange<UInt64> = 4 << 20...1 << 40
    /// What a load may fill: some pages of every size at least.
    public static let loads: ClosedRange<UInt64> = 1 << 20...1 << 40
    /// The file through which a dump leaves the guest, where a plan does not say.
    public static let dumpArea: UInt64 = 256 << 20
    /// How large it may be; a PCI BAR is a power of two.
    public static let dumpAreas: ClosedRange<UInt64> = 1 << 20...4 << 30
    /// The longest `wait`, in seconds.
    public static let waitSeconds = 600
    /// The longest text of a step, in bytes: a line to the agent holds it, should all of it be escaped.
    public static let textLength = 512
    /// The highest memory block's number: 16 TiB of 16 MiB.
    public static let blockIndex: UInt64 = 1 << 20
    /// What a guest needs to boot.
    public static let leastMemory: UInt64 = 512 << 20
    /// What QEMU under emulation can map here without ado; a bound for the arithmetic, not a promise.
    public static let memory: UInt64 = 8 << 40
    /// `SPAPR_MAX_RAM_SLOTS` under emulation.
    public static let slots = 32
    /// Virtual CPUs.
    public static let vcpus = 16
    /// NUMA nodes.
    public static let numaNodes = 8
    /// Pages that a hashed page table can be limited to (target/ppc: POWER8's and POWER9's encodings).
    public static let hptPageSizes: [UInt64] = [4 << 10, 64 << 10, 16 << 20]
    /// The CPU models.
    public static let cpus = ["POWER8", "POWER9", "POWER10"]

    /// What is wrong with a size of memory, nil when nothing is.
    public static func problem(withMemory byteCount: UInt64) -> String? {
        let text = ByteCount(byteCount).text
        if byteCount == 0 || byteCount % LMB.byteCount != 0 {
            return "\(text) is no multiple of 256 MiB, the LMB of a pseries machine"
        }
        if byteCount > memory { return "\(text) is more than \(ByteCount(memory).text), the limit here" }
        return nil
    }
}
