// SPDX-License-Identifier: Apache-2.0

public import Foundation
public import Verification

/// `run.json`: what was run, with what, and how it ended. Written at the start and again at the end.
public struct RunInformation: Codable, Equatable, Sendable, VersionedDocument {
    /// The versions of this file's form.
    public static let knownSchemas = 2...2

    /// The version, as it is written.
    public private(set) var schema = SchemaVersion<RunInformation>()
    /// The run's name, which is the name of its directory.
    public var run: String
    /// When it began.
    public var startedAt: Date
    /// When it ended, nil while it runs.
    public var finishedAt: Date?
    /// How it ended, nil while it runs.
    public var outcome: Outcome?
    /// The run's exit code, nil while it runs. With `--bisect` the process ends with what that makes of it.
    public var exitCode: Int32?
    /// What went wrong with the harness itself, nil when nothing did.
    public var error: String?
    /// The SHA-256 of each other file of the record, in hexadecimal digits, by name; nil while it runs.
    ///
    /// They find damage, not forgery: whoever edits a file can edit its digest.
    public var digests: [String: String]?
    /// How many of the guest's events `events.jsonl` does not hold, since it had reached its limit; nil when it holds all.
    public var leftOutEventCount: Int?
    /// About how many bytes of the console `console.log` does not hold, since it had reached its limit; nil when it holds
    /// all.
    public var leftOutConsoleByteCount: Int?
    /// The command line, the program's name first.
    public var commandLine: [String]
    /// Whose work this is.
    public var versions: Versions
    /// What the guest was made of.
    public var guest: Guest

    /// The programs that took part.
    public struct Versions: Codable, Equatable, Sendable {
        /// qemu-harness.
        public var harness: String
        /// libvirt's library, nil before it was asked.
        public var libvirt: String?
        /// QEMU, as libvirt names it.
        public var qemu: String?
        /// QEMU's program, nil before it was started.
        public var qemuPath: String?

        /// Collects versions.
        public init(harness: String, libvirt: String? = nil, qemu: String? = nil, qemuPath: String? = nil) {
            self.harness = harness
            self.libvirt = libvirt
            self.qemu = qemu
            self.qemuPath = qemuPath
        }
    }

    /// The guest as it was asked for, and what it said of itself.
    public struct Guest: Codable, Equatable, Sendable {
        /// The kernel's file.
        public var kernelPath: String
        /// The agent's initramfs.
        public var initramfsPath: String
        /// The CPU model.
        public var cpu: String
        /// How many virtual CPUs.
        public var cpuCount: Int
        /// Boot memory in bytes.
        public var bootMemoryByteCount: UInt64
        /// Maximum memory in bytes.
        public var maximumMemoryByteCount: UInt64
        /// The kernel's command line.
        public var kernelCommandLine: String
        /// The kernel's release, nil before the guest spoke.
        public var kernelRelease: String?
        /// Where the address of each kernel variable that the host reads by its symbol comes from, nil before the guest
        /// spoke.
        public var symbolSources: [String: String]?
        /// `hash` or `radix`, nil before the guest spoke.
        public var mmu: String?
        /// Where that was read: `VMCOREINFO`, in guest memory, or `/proc/cpuinfo`, in the guest; nil before it spoke.
        public var mmuSource: String?
        /// Whether the kernel is big-endian, nil before the guest spoke.
        public var isBigEndian: Bool?
        /// The kernel's page size in bytes, nil before the guest spoke.
        public var pageByteCount: UInt64?
        /// A vmemmap page's size in bytes, nil before the guest spoke and for a kernel that keeps no list.
        public var vmemmapPageByteCount: UInt64?
        /// The witnesses that the guest can give, all of which have to speak at each verification; nil before the guest
        /// spoke.
        public var witnesses: [Witness]?
        /// Whether the kernel makes the loaded crash kernel's header anew when memory comes or goes (crash hotplug); nil
        /// where none was loaded.
        public var hasCrashHotplug: Bool?
        /// Where the agent hears of populates, nil before the guest spoke.
        public var eventSource: String?
        /// The event sources that the agent tried, from the best one on, nil before the guest spoke.
        public var eventSourceTrials: [EventSourceTrial]?

        /// Describes a guest that has not spoken yet.
        public init(
            kernelPath: String, initramfsPath: String, cpu: String, cpuCount: Int, bootMemoryByteCount: UInt64,
            maximumMemoryByteCount: UInt64, kernelCommandLine: String
        ) {
            self.kernelPath = kernelPath
            self.initramfsPath = initramfsPath
            self.cpu = cpu
            self.cpuCount = cpuCount
            self.bootMemoryByteCount = bootMemoryByteCount
            self.maximumMemoryByteCount = maximumMemoryByteCount
            self.kernelCommandLine = kernelCommandLine
        }
    }

    /// What came of the agent's try of an event source.
    public struct EventSourceTrial: Codable, Equatable, Sendable {
        /// The source.
        public var source: String
        /// What of it the guest's kernel does not offer, and why; empty when the source was taken.
        public var refusals: [String]

        /// Notes a trial.
        public init(source: String, refusals: [String]) {
            self.source = source
            self.refusals = refusals
        }
    }

    /// Describes a run that begins.
    public init(run: String, startedAt: Date, commandLine: [String], versions: Versions, guest: Guest) {
        self.run = run
        self.startedAt = startedAt
        self.commandLine = commandLine
        self.versions = versions
        self.guest = guest
    }
}
