// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import GuestMemory
import HarnessBasics
import Verification

/// What the agent does in the guest on request, beside mirroring.
package enum GuestAction: Equatable, Sendable {
    /// Sets a memory block online or offline, by its number (/sys/devices/system/memory).
    case block(index: UInt64, isOnline: Bool)
    /// Writes a line to /sys/kernel/dlpar.
    case dlpar(String)
    /// Adds the memory block at a physical address, which the machine has: /sys/devices/system/memory/probe.
    case probe(base: UInt64)
    /// Reads a file.
    case read(String)
    /// Holds memory in a range of physical addresses, so that the kernel cannot give it up.
    case hold(Range<UInt64>)
    /// Holds memory until the kernel has no more than so many bytes for itself.
    case leaveFree(byteCount: UInt64)
    /// Sets the hashed page table's size in the kernel's device tree, from where kexec hands it to a crash kernel.
    case correctHPTSize
    /// Gives back what is held.
    case release
    /// Fills and frees so much memory again and again, until it is ended.
    case load(byteCount: UInt64)
    /// Ends that.
    case endLoad

    /// The request to the agent, without an identifier.
    var request: ControlLine {
        switch self {
        case .block(let index, let isOnline):
            ControlLine(identifier: 0, verb: "block").with("index", index).with("online", isOnline ? 1 : 0)
        case .dlpar(let text): ControlLine(identifier: 0, verb: "dlpar").with("text", encoding: Array(text.utf8))
        case .probe(let base): ControlLine(identifier: 0, verb: "probe").with("start", base)
        case .read(let path):
            ControlLine(identifier: 0, verb: "read").with("path", encoding: Array(path.utf8))
        case .hold(let range):
            ControlLine(identifier: 0, verb: "hold").with("start", range.lowerBound).with("end", range.upperBound)
        case .leaveFree(let byteCount): ControlLine(identifier: 0, verb: "leave").with("free", byteCount)
        case .correctHPTSize: ControlLine(identifier: 0, verb: "correct-hpt-size")
        case .release: ControlLine(identifier: 0, verb: "release")
        case .load(let byteCount): ControlLine(identifier: 0, verb: "load").with("bytes", byteCount)
        case .endLoad: ControlLine(identifier: 0, verb: "end-load")
        }
    }

    /// What the answer calls the number that the action comes to; nil where it comes to none.
    var numberName: StaticString? {
        switch self {
        case .hold: "pages"
        case .leaveFree: "free"
        case .correctHPTSize: "order"
        case .endLoad: "filled"
        case .block, .dlpar, .probe, .read, .release, .load: nil
        }
    }

    /// A number as the kernel reads it: hexadecimal behind `0x`, octal behind `0`, else decimal (`kstrtou32`, base 0).
    private static func kernelNumber(_ word: Substring) -> UInt32? {
        let digits = word.lowercased()
        if digits.hasPrefix("0x") { return UInt32(digits.dropFirst(2), radix: 16) }
        return UInt32(digits, radix: digits.hasPrefix("0") ? 8 : 10)
    }

    /// What it does to an LMB when it succeeds: of requests by index and of probes the kernel's log may say nothing.
    var silentLMBEvent: AgentEvent? {
        switch self {
        case .probe(let base): return .lmbAdded(base: base, drcIndex: LMB.drcIndex(of: base))
        case .dlpar(let line):
            let words = line.split(separator: " ")
            guard words.count == 4, words[0] == "memory", words[2] == "index",
                let index = Self.kernelNumber(words[3]), index >> 28 == 8
            else { return nil }
            let base = UInt64(index & 0xfff_ffff) * LMB.byteCount
            switch words[1] {
            case "add": return .lmbAdded(base: base, drcIndex: UInt64(index))
            case "remove": return .lmbRemoved(base: base)
            default: return nil
            }
        default: return nil
        }
    }
}

/// What came of an action.
package enum GuestActionResult: Equatable {
    /// It is done; the number that it came to, where it comes to one.
    case done(number: UInt64?)
    /// A file was read; whether that is all of it.
    case read(content: [UInt8], isWhole: Bool)
    /// The guest's kernel refused it, with this error number; a number in bytes that says more, where the agent has one.
    case refused(errno: Int32, number: UInt64?)
}
