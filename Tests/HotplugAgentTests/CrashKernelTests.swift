// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import TestGuests
import Testing

@testable import HotplugAgent

@Suite struct CrashKernelTests {
    private static let hotplugFile = "/sys/devices/system/memory/crash_hotplug"
    private let guest = FakeGuest()
    private let agent: RunningAgent

    init() throws {
        agent = try RunningAgent.ready(guest)
    }

    /// Who keeps the header true depends on the kernel, and only one that can is asked to.
    @Test(arguments: [(nil, 0), ("0\n", 0), ("1\n", 1)] as [(String?, UInt64)], [true, false])
    func loadsTheKernel(hotplug: (text: String?, answered: UInt64), hasLoader: Bool) throws {
        let (hotplug, answered) = hotplug
        if hasLoader { guest.files["/tools/kexec/ld64.so.2"] = [] }
        let loader = hasLoader ? ["/tools/kexec/ld64.so.2", "--library-path", "/tools/kexec"] : []
        guest.files["/sys/kernel/kexec_crash_loaded"] = Array("1\n".utf8)
        guest.files[Self.hotplugFile] = hotplug.map { Array($0.utf8) }
        guest.program?.output = Array("loaded\n".utf8)
        let answer = try agent.ask("load-crash-kernel append=console=hvc0%20panic=-1")
        #expect(answer.has(verb: "ok"))
        #expect(answer.number("crash-hotplug") == answered)
        let option = hotplug == nil ? [] : ["--hotplug"]
        #expect(
            guest.programs == [
                loader + ["/tools/kexec/kexec"] + option
                    + ["-p", "/crash/vmlinux", "--initrd=/crash/initramfs", "--append=console=hvc0 panic=-1"]
            ])
    }

    private typealias Ending = (end: ProgramEnd?, loaded: String?, told: ProgramEnd)
    private static let failures: [Ending] = [
        (.exited(0), "0\n", .exited(0)), (.exited(1), "1\n", .exited(1)), (.exited(0), nil, .exited(0)),
        (.killed(signal: 9), "1\n", .killed(signal: 9)), (nil, "0\n", .timedOut),
    ]

    @Test(arguments: failures)
    func tellsWhatKexecSaid(end: ProgramEnd?, loaded: String?, told: ProgramEnd) throws {
        guest.files["/sys/kernel/kexec_crash_loaded"] = loaded.map { Array($0.utf8) }
        let output = Array("no room\n".utf8) + Array(repeating: UInt8(0xff), count: 4000)
        guest.program = .init(errors: output, end: end)
        let answer = try agent.ask("load-crash-kernel append=x")
        #expect(answer.has(verb: "error"))
        #expect(answer.text("reason").map(Array.init) == Array("kexec".utf8))
        #expect(ProgramEnd(answer) == told)
        #expect(answer.bytes("output") == Array(output.prefix(400)))
    }

    /// A kexec that cannot be started says nothing of the guest.
    @Test(arguments: [FakeGuest.Program(errors: Array("no library\n".utf8), end: .exited(127)), nil])
    func kexecCannotBeStarted(program: FakeGuest.Program?) throws {
        guest.program = program
        let answer = try agent.ask("load-crash-kernel append=x")
        #expect(answer.has(verb: "error"))
        #expect(answer.text("reason").map(Array.init) == Array("program".utf8))
    }

    @Test(arguments: ["", " append=a%00b", " append=%2", " other=x"])
    func runsNothingForARequestThatIsNotValid(fields: String) throws {
        let answer = try agent.ask("load-crash-kernel" + fields)
        #expect(answer.text("reason").map(Array.init) == Array("append".utf8))
        #expect(guest.programs.isEmpty)
    }

    @Test func answersAndCrashes() throws {
        guest.written["/proc/sysrq-trigger"] = []
        #expect(try agent.ask("crash").has(verb: "ok"))
        #expect(guest.written["/proc/sysrq-trigger"] == Array("c".utf8))
    }
}
