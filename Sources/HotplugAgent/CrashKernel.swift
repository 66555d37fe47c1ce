// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// Loads the crash kernel with kexec, and crashes the running one.
enum CrashKernel {
    /// 1 when the kernel keeps the loaded crash kernel's header true by itself (crash_hotplug_show, drivers/base/memory.c).
    private static var hotplugFile: StaticString { "/sys/devices/system/memory/crash_hotplug" }
    /// kexec's own time: under emulation it takes a second.
    private static var milliseconds: Int { 60_000 }
    /// The most of its words that an answer holds: three times as many bytes fit a line, should all be escaped.
    private static var outputByteLimit: Int { 400 }

    /// Answers `load-crash-kernel`: has kexec load /crash/vmlinux with the command line `append`.
    ///
    /// The answer's `crash-hotplug` is 1 when the kernel keeps the header true from now on.
    ///
    /// What kexec or the kernel refuses is an `error` with the reason `kexec`, the exit status or signal, and the beginning of
    /// what kexec said.
    static func load(_ request: ControlLine, system: some AgentSystem) -> ControlLine {
        let refusal = ControlLine(identifier: request.identifier, verb: "error")
        guard let commandLine = request.bytes("append"), !commandLine.contains(0) else {
            return refusal.with("reason", text: bytes("append"))
        }
        var arguments: [[UInt8]] = []
        // A kernel that can keep the header true while memory comes and goes does so for whoever asks
        // (KEXEC_CRASH_HOTPLUG_SUPPORT).
        if system.content(hotplugFile) != nil { arguments.append(bytes("--hotplug")) }
        arguments += [
            bytes("-p"), bytes("/crash/vmlinux"), bytes("--initrd=/crash/initramfs"), bytes("--append=") + commandLine,
        ]
        var output: [UInt8] = []
        let end = GuestProgram.run(
            bytes("kexec"), of: bytes("kexec"), arguments, milliseconds: milliseconds, system: system
        ) { _, piece in
            output += piece.prefix(outputByteLimit - output.count)
            return true
        }
        var line = refusal.with("reason", text: bytes("kexec"))
        switch end {
        case .exited(0):
            if let loaded = system.content("/sys/kernel/kexec_crash_loaded"), loaded[...].number == 1 {
                return ControlLine(identifier: request.identifier, verb: "ok")
                    .with("crash-hotplug", system.content(hotplugFile).flatMap { $0[...].number } ?? 0)
            }
            line = line.with("exit", 0)
        case .exited(let status): line = line.with("exit", status)
        case .killed(let signal): line = line.with("signal", signal)
        }
        return line.with("output", encoding: output)
    }

    /// Has the kernel crash (sysrq-c, drivers/tty/sysrq.c), which does not return.
    static func crash(system: some AgentSystem) {
        _ = system.put(bytes("c"), into: bytes("/proc/sysrq-trigger"))
    }
}
