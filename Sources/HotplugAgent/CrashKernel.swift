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
    /// What kexec or the kernel refuses is an `error` with the reason `kexec`, how kexec ended (`exit`, `signal`, `timeout`)
    /// and the beginning of what it said. A kexec that cannot be started is one with the reason `program`.
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
        if end == .exited(0), let loaded = system.content("/sys/kernel/kexec_crash_loaded"), loaded[...].number == 1 {
            return ControlLine(identifier: request.identifier, verb: "ok")
                .with("crash-hotplug", system.content(hotplugFile).flatMap { $0[...].number } ?? 0)
        }
        guard let end else { return refusal.with("reason", text: bytes("program")).with("output", encoding: output) }
        return end.describe(in: refusal.with("reason", text: bytes("kexec"))).with("output", encoding: output)
    }

    /// Has the kernel crash (sysrq-c, drivers/tty/sysrq.c), which does not return.
    static func crash(system: some AgentSystem) {
        _ = system.put(bytes("c"), into: bytes("/proc/sysrq-trigger"))
    }
}
