// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import TestGuests
import Testing

@testable import HotplugAgent

/// What the agent does in the guest on request.
@Suite struct GuestActionTests {
    private let guest = FakeGuest()
    private let agent: RunningAgent

    init() throws {
        agent = try RunningAgent.ready(guest)
        guest.files["/proc/meminfo"] = Array("MemTotal:  1000000 kB\nMemFree:          500000 kB\n".utf8)
    }

    @Test func setsABlocksState() throws {
        let path = "/sys/devices/system/memory/memory17/state"
        guest.written[path] = []
        #expect(try agent.ask("block index=0x11 online=0x0").has(verb: "ok"))
        #expect(guest.written[path] == Array("offline".utf8))
        #expect(try agent.ask("block index=17 online=1").has(verb: "ok"))
        #expect(guest.written[path] == Array("online".utf8))
    }

    @Test func writesALineToDlpar() throws {
        guest.written["/sys/kernel/dlpar"] = []
        #expect(try agent.ask("dlpar text=memory%20remove%20index%200x80000004").has(verb: "ok"))
        #expect(guest.written["/sys/kernel/dlpar"] == Array("memory remove index 0x80000004".utf8))
    }

    @Test func addsAMemoryBlock() throws {
        let path = "/sys/devices/system/memory/probe"
        guest.written[path] = []
        #expect(try agent.ask("probe start=0x60000000").has(verb: "ok"))
        #expect(guest.written[path] == Array("1610612736".utf8))
    }

    @Test func tellsTheKernelsError() throws {
        guest.refusals["/sys/kernel/dlpar"] = 16
        let answer = try agent.ask("dlpar text=memory")
        #expect(answer.has(verb: "error"))
        #expect(answer.text("reason")?.elementsEqual("refused".utf8) == true)
        #expect(answer.number("errno") == 16)
        #expect(try agent.ask("block index=99 online=0").number("errno") == 2)
        #expect(try agent.ask("read path=/nosuch offset=0").number("errno") == 2)
    }

    @Test func readsAFilePieceByPiece() throws {
        let content = (0..<1300).map { UInt8(truncatingIfNeeded: $0) }
        guest.files["/a file"] = content
        var read: [UInt8] = []
        while true {
            let answer = try agent.ask("read path=/a%20file offset=\(read.count)")
            let piece = try #require(answer.bytes("content"))
            #expect(piece.count <= 512)
            if piece.isEmpty { break }
            read += piece
        }
        #expect(read == content)
    }

    @Test(arguments: [
        "block", "block index=1", "block index=1 online=2", "block online=1", "dlpar", "dlpar text=", "dlpar text=%4",
        "dlpar text=%zz", "probe", "probe start=x", "read path=relative offset=0", "read path=/a", "read offset=0",
        "read path=/a%00b offset=0",
        "read path=/a offset=0xffffffffffffffff", "hold", "hold start=1", "hold start=2 end=1", "hold start=1 end=1",
        "leave", "leave free=0", "leave free=x",
    ])
    func refusesARequestThatIsNotOfItsForm(request: String) throws {
        let answer = try agent.ask(request)
        #expect(answer.has(verb: "error"))
        #expect(answer.number("errno") == 22)
    }

    /// Buffers elsewhere are given back only once one lies where it is wanted: the kernel would hand them out again.
    @Test func holdsMemoryInARange() throws {
        guest.bufferFrames = [0x100, 0x200, 0x3fe0, 0x500]
        let answer = try agent.ask("hold start=0x40000000 end=0x80000000")
        // Frames 0x3fe0 to 0x401f of 64 KiB: 32 of them lie behind 1 GiB.
        #expect(answer.number("pages") == 32)
        #expect(guest.buffers.values.map(\.frame) == [0x3fe0])
        #expect(guest.bufferFrames == [0x500])
        #expect(try agent.ask("release").has(verb: "ok"))
        #expect(guest.buffers.isEmpty)
        #expect(try agent.ask("release").has(verb: "ok"))
    }

    /// From 6.14 on the page map says nothing of a perf event's buffer, wherever it lies.
    @Test func takesPacketSocketsWherePerfEventsAreNotTold() throws {
        guest.hiddenBufferSource = .perfEvent
        guest.bufferFrames = [0x4000, 0x100, 0x3fe0]
        #expect(try agent.ask("hold start=0x40000000 end=0x80000000").number("pages") == 32)
        #expect(guest.buffers.values.map(\.frame) == [0x3fe0])
        #expect(guest.bufferSources == [.perfEvent, .packetSocket, .packetSocket])
        // It is known from then on.
        guest.bufferFrames = [0x4000]
        #expect(try agent.ask("hold start=0x40000000 end=0x80000000").number("pages") == 64)
        #expect(guest.bufferSources.last == .packetSocket)
    }

    @Test func stopsBeforeMemoryRunsOut() throws {
        guest.files["/proc/meminfo"] = Array("MemFree:   131072 kB\n".utf8)
        guest.bufferFrames = [0x4000]
        #expect(try agent.ask("hold start=0x40000000 end=0x80000000").number("errno") == 12)
        #expect(guest.bufferFrames == [0x4000])
    }

    /// Buffers never lie in the movable zone, whatever is free in it: a guest of movable DIMMs ran out and panicked.
    @Test func stopsBeforeTheKernelsOwnMemoryRunsOut() throws {
        guest.files["/proc/zoneinfo"] = Array(
            "Node 0, zone Normal\n  pages free 2000\n  min 8\nNode 0, zone Movable\n  pages free 9000\n  min 1\n".utf8)
        guest.bufferFrames = [0x4000]
        #expect(try agent.ask("hold start=0x40000000 end=0x80000000").number("errno") == 12)
        #expect(guest.bufferFrames == [0x4000])
    }

    @Test func givesBackWhatIsOfNoUse() throws {
        guest.bufferFrames = [0x100, 0x200]
        #expect(try agent.ask("hold start=0x40000000 end=0x80000000").number("errno") == 12)
        #expect(guest.buffers.isEmpty)
    }

    /// Memory is not all that a kernel may be out of.
    @Test func tellsWhyThereIsNoBuffer() throws {
        guest.bufferFrames = [0x100]
        guest.bufferErrno = 24
        #expect(try agent.ask("hold start=0x40000000 end=0x80000000").number("errno") == 24)
        #expect(guest.buffers.isEmpty)
    }

    /// The movable zone is not the kernel's, and what lies below a watermark is nobody's.
    @Test(
        arguments: [
            ("Node 0, zone   Normal\n  pages free     400\n        min      80\n", 320),
            ("Node 0, zone   Normal\n  pages free 4\n  min 8\nNode 0, zone  Movable\n  pages free 9000\n  min 1\n", 0),
            (
                "Node 0, zone   Normal\n  per-node stats\n      nr_free 5\n  pages free     100\n        min      4\n"
                    + "Node 1, zone   Normal\n  pages free     50\n        boost    3\n        min      6\n  min_x 9\n",
                140
            ),
        ] as [(String, UInt64)])
    func tellsWhatTheKernelHasForItself(zones: String, pageCount: UInt64) throws {
        guest.files["/proc/zoneinfo"] = Array(zones.utf8)
        let answer = try agent.ask("leave free=\(32 << 20)")
        #expect(answer.has(verb: "ok"))
        #expect(answer.number("free") == pageCount * 65536)
        #expect(guest.buffers.isEmpty)
    }

    @Test func holdsMemoryUntilLittleIsFree() throws {
        // 64 KiB each; 8 MiB and 65 pages more than is to be left.
        guest.kernelPageCount = 320 + 128 + 65
        guest.bufferFrames = [UInt64](repeating: 0x100, count: 100)
        let answer = try agent.ask("leave free=\(20 << 20)")
        // Large buffers while there is room for two, small ones to the end, the last of which is larger than it need be.
        #expect(answer.number("free") == 317 * 65536)
        let sizes = guest.buffers.values.map(\.buffer.byteCount)
        #expect(sizes.count { $0 == 4 << 20 } == 2)
        #expect(sizes.count { $0 == 256 << 10 } == 17)
        #expect(try agent.ask("release").has(verb: "ok"))
        #expect(guest.buffers.isEmpty)
    }

    /// What is held so far stays held until it is given back.
    @Test func leavesTheRestOfTheMachineItsMemory() throws {
        guest.files["/proc/zoneinfo"] = Array("Node 0, zone   Normal\n  pages free     800\n        min      80\n".utf8)
        guest.files["/proc/meminfo"] = Array("MemFree:   131072 kB\n".utf8)
        guest.bufferFrames = [0x100]
        #expect(try agent.ask("leave free=\(20 << 20)").number("errno") == 12)
        #expect(guest.bufferFrames == [0x100])
        guest.files["/proc/zoneinfo"] = nil
        #expect(try agent.ask("leave free=\(20 << 20)").number("errno") == 22)
    }

    /// Two processors and their cache; the number is the kernel's own.
    @Test func correctsTheHashTablesSize() throws {
        let tree = "/proc/device-tree/cpus"
        guest.folders[tree] = ["PowerPC,POWER8@0", "PowerPC,POWER8@8", "l2-cache@1", "name"]
        for (index, name) in ["PowerPC,POWER8@0", "PowerPC,POWER8@8", "l2-cache@1"].enumerated() {
            guest.files["\(tree)/\(name)/phandle"] = [0x12, 0x34, 0, UInt8(index)]
        }
        // 10 is a newline's byte.
        for name in ["PowerPC,POWER8@0", "PowerPC,POWER8@8"] {
            guest.files["\(tree)/\(name)/ibm,pft-size"] = [0, 0, 0, 0, 0, 0, 0, 10]
        }
        guest.written["/proc/ppc64/ofdt"] = []
        #expect(try agent.ask("correct-hpt-size").number("errno") == 2)
        guest.files["/sys/kernel/debug/powerpc/hpt_order"] = Array("27\n".utf8)
        #expect(try agent.ask("correct-hpt-size").number("order") == 27)
        let line = Array("update_property 305397761 ibm,pft-size 8 ".utf8) + [0, 0, 0, 0, 0, 0, 0, 27]
        #expect(guest.written["/proc/ppc64/ofdt"] == line)
        guest.refusals["/proc/ppc64/ofdt"] = 22
        #expect(try agent.ask("correct-hpt-size").number("errno") == 22)
        guest.files["/sys/kernel/debug/powerpc/hpt_order"] = Array("64\n".utf8)
        #expect(try agent.ask("correct-hpt-size").number("errno") == 2)
        guest.files["/sys/kernel/debug/powerpc/hpt_order"] = Array("27\n".utf8)
        guest.folders[tree] = ["l2-cache@1"]
        #expect(try agent.ask("correct-hpt-size").number("errno") == 2)
    }

    @Test func startsTheMachineAnew() throws {
        guest.input += Array("1 reboot\n".utf8)
        agent.agent.serve()
        #expect(guest.isRestarted && !guest.isPoweredOff)
        #expect(guest.takeLines().compactMap { $0?.identifier } == [1])
    }

    @Test func leavesNoFileOpen() throws {
        let openCount = guest.openCount
        guest.bufferFrames = [0x4000]
        _ = try agent.ask("hold start=0x40000000 end=0x80000000")
        _ = try agent.ask("read path=/proc/meminfo offset=0")
        #expect(guest.openCount == openCount)
    }
}
