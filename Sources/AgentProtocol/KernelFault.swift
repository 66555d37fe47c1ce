// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// What a kernel says has gone wrong inside it.
public enum KernelFault: UInt64, CaseIterable, Sendable {
    /// `WARN_ON` and its like (`__warn`, kernel/panic.c), or what lockdep has found.
    case warning = 1
    /// `BUG_ON`, a page in a bad state, sleeping in the wrong place.
    case bug = 2
    /// An access that nothing handles, or another exception in kernel mode (`die`, arch/powerpc/kernel/traps.c).
    case oops = 3
    /// An access that KASAN has caught (mm/kasan/report.c).
    case kasan = 4
    /// Undefined behaviour that UBSAN has caught (lib/ubsan.c).
    case ubsan = 5
    /// A soft or hard lockup, or a workqueue's (kernel/watchdog.c, arch/powerpc/kernel/watchdog.c, kernel/workqueue.c).
    case lockup = 6
    /// A stall of RCU (kernel/rcu/tree_stall.h).
    case rcuStall = 7
    /// A task that has waited for too long (kernel/hung_task.c).
    case hungTask = 8
    /// The end (`panic`, kernel/panic.c).
    case panic = 9
}

/// Finds the kernel's reports of its own faults in its log, and what of each is worth telling.
///
/// A report is many lines: its first ones say what is wrong, and registers and calls follow. It ends with its own last
/// line, where it has one, or where another begins. What only says that memory or a device could not be had
/// (`page allocation failure`) is no fault: kernels live with that.
public struct KernelFaultReader: Sendable {
    /// What a line is to a report.
    public enum Reading: Equatable, Sendable {
        /// A report begins, with these lines.
        case began(KernelFault, lines: [[UInt8]])
        /// One more line of the report that began last.
        case line([UInt8])
    }

    /// The most that is told of a line.
    public static var lineByteCount: Int { 191 }
    /// How many lines of a report are told at most.
    public static var lineLimit: Int { 8 }
    /// How many lines a report without an end has: enough for registers and calls.
    private static var reportLineLimit: Int { 96 }

    /// The kind of the report that is under way, nil when none is.
    private var current: KernelFault?
    /// What stands between `cut here` and the line that says what is wrong, nil when no such line was seen.
    private var preface: [[UInt8]]?
    private var lineCount = 0
    private var toldCount = 0
    /// Whether the report has had its `Oops: ` line.
    private var hasDied = false
    private var isBehindRule = false

    /// Makes a reader at the beginning of a log, or anywhere in it.
    public init() {}

    /// Takes the log's next line, without time and caller; nil when it is of no account.
    public mutating func take(_ line: ArraySlice<UInt8>) -> Reading? {
        defer { isBehindRule = line.count >= 20 && line.allSatisfy { $0 == 0x3d } }
        lineCount += 1
        if line.starts(with: "------------[ cut here ]------------") {
            current = nil
            preface = []
            lineCount = 0
            return nil
        }
        if let fault = headline(line) { return take(fault, line) }
        if line.starts(with: "---[ end trace ") {
            defer { current = nil }
            return beginWithoutHeadline(line)
        }
        if preface != nil {
            preface?.append(Self.clipped(line))
            return lineCount >= Self.lineLimit ? beginWithoutHeadline(line) : nil
        }
        guard current != nil else { return nil }
        guard lineCount < Self.reportLineLimit else {
            current = nil
            return nil
        }
        // Who it was, and where.
        guard line.starts(with: "CPU: ") || line.starts(with: "Workqueue: ") || line.starts(with: "NIP [") else {
            return nil
        }
        return told(line)
    }

    private mutating func take(_ fault: KernelFault, _ line: ArraySlice<UInt8>) -> Reading? {
        if line.starts(with: "Oops: "), !hasDied, current == .bug || current == .oops || current == .kasan {
            hasDied = true
            return told(line)
        }
        // One report tells of each processor.
        if fault == current, fault == .lockup || fault == .rcuStall { return told(line) }
        let lines = (preface ?? []) + [Self.clipped(line)]
        preface = nil
        current = fault
        lineCount = 0
        toldCount = lines.count
        hasDied = line.starts(with: "Oops: ")
        return .began(fault, lines: lines)
    }

    /// `cut here` stands before what is wrong, also when the line that says what it is cannot be understood.
    private mutating func beginWithoutHeadline(_ line: ArraySlice<UInt8>) -> Reading? {
        guard var lines = preface else { return nil }
        if lines.isEmpty { lines = [Self.clipped(line)] }
        preface = nil
        current = .warning
        toldCount = lines.count
        hasDied = false
        return .began(.warning, lines: lines)
    }

    private mutating func told(_ line: ArraySlice<UInt8>) -> Reading? {
        guard toldCount < Self.lineLimit else { return nil }
        toldCount += 1
        return .line(Self.clipped(line))
    }

    private static func clipped(_ line: ArraySlice<UInt8>) -> [UInt8] {
        Array(line.prefix(lineByteCount))
    }

    /// What a line says is wrong, nil when it says nothing of that kind.
    private func headline(_ line: ArraySlice<UInt8>) -> KernelFault? {
        if line.starts(with: "Kernel panic - not syncing") { return .panic }
        if line.starts(with: "Oops: ") { return .oops }
        if line.starts(with: "kernel BUG at ") { return .bug }
        if line.starts(with: "UBSAN: ") { return .ubsan }
        // Drivers warn so of their devices, too.
        if line.starts(with: "WARNING: ") {
            let isReport = line.starts(with: "WARNING: CPU: ") || line.contains(", CPU#")
            return preface != nil || isBehindRule || isReport ? .warning : nil
        }
        var rest = line
        _ = rest.skip("NMI ")
        if rest.skip("watchdog: ") || rest.skip("Watchdog ") {
            return rest.contains("soft lockup") || rest.contains("LOCKUP") ? .lockup : nil
        }
        rest = line
        if rest.skip("BUG: ") {
            if rest.starts(with: "KASAN: ") { return .kasan }
            // bad_page_fault, arch/powerpc/mm/fault.c.
            if rest.starts(with: "Unable to handle ") || rest.starts(with: "Kernel NULL pointer dereference") {
                return .oops
            }
            return rest.contains("lockup") ? .lockup : .bug
        }
        rest = line
        _ = rest.skip("rcu: ")
        guard rest.skip("INFO: ") else { return nil }
        if rest.starts(with: "rcu_"), rest.contains("stall") { return .rcuStall }
        let isHung = rest.starts(with: "task ") && rest.contains(" blocked ") && rest.contains(" for more than ")
        return isHung ? .hungTask : nil
    }
}
