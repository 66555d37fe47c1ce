// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// The scripts, with programs that stand in for those which would change the machine or take long.
@Suite struct ScriptTests {
    private static let scripts = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../scripts").standardizedFileURL

    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private struct Ending {
        let status: Int32
        let output: String
        let errors: String
    }

    private func writeProgram(_ script: String, to path: String) throws {
        let file = try folder.write(Array("#!/bin/bash\nset -eu\n\(script)\n".utf8), to: path)
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: file)
        // A child that another test has just started may have it open for writing for a moment yet, as this process had, and
        // what is open so cannot be started. There is a read lease (F_SETLEASE) as soon as nobody has.
        let handle = try FileHandle(forReadingFrom: URL(filePath: file))
        while fcntl(handle.fileDescriptor, 1024, F_RDLCK) != 0, errno == EAGAIN { usleep(1000) }
    }

    /// Runs a script with the programs in `bin` before all others.
    private func run(_ script: String, _ arguments: [String]) throws -> Ending {
        let process = Process()
        process.executableURL = URL(filePath: script)
        process.arguments = arguments
        process.environment = [
            "PATH": "\(folder.path("bin")):/usr/bin:/bin", "HOME": folder.url.path, "FAKE": folder.url.path,
        ]
        let (output, errors) = (folder.url.appending(path: "stdout"), folder.url.appending(path: "stderr"))
        for file in [output, errors] { try Data().write(to: file) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        process.waitUntilExit()
        return Ending(
            status: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8))
    }

    // MARK: - scripts/run

    /// Which of the steps before the program the arguments need. What guests take, the program says.
    @Test(arguments: [
        ([], ["setup", "swift", "build-agent", "guest-kernel 6.1", "build-agent", "guest-tools kexec"]),
        (["run", "--help"], ["setup --build", "swift"]), (["--version"], ["setup --build", "swift"]),
        (["-h"], ["setup --build", "swift"]), (["help", "run"], ["setup --build", "swift"]),
        (["report", "--format", "html"], ["setup --build", "swift"]), (["merge", "x"], ["setup --build", "swift"]),
        (["explain"], ["setup --build", "swift"]),
        (["verify", "runs/latest"], ["setup --build", "swift"]), (["emulate"], ["setup --build", "swift"]),
        (["plan", "list"], ["setup --build", "swift"]), (["prune"], ["setup --build", "swift"]),
        (["doctor", "numa"], ["setup --build", "swift"]), (["inspect", "vmcore"], ["setup", "swift"]),
        (["matrix", "--bisect"], ["setup", "swift", "build-agent"]),
    ])
    func runSetsUpWhatItsArgumentsNeed(arguments: [String], expected: [String]) throws {
        try FileManager.default.createDirectory(
            at: folder.url.appending(path: "tree/scripts"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            at: Self.scripts.appending(path: "run"), to: folder.url.appending(path: "tree/scripts/run"))
        for name in ["setup", "guest-kernel", "guest-tools", "build-agent"] {
            try writeProgram(#"echo "${0##*/}${*:+ $*}" >>"$FAKE/log""#, to: "tree/scripts/\(name)")
        }
        try writeProgram(#"echo swift >>"$FAKE/log""#, to: "bin/swift")
        // The tools are known when the kernel is there.
        try writeProgram(
            """
            if [[ $* == needs ]]; then
                echo build-agent
                grep -qs kernel "$FAKE/log" && echo "guest-tools kexec" || echo "guest-kernel 6.1"
            elif [[ ${1-} == needs ]]; then
                if [[ ${2-} == matrix ]] && ! grep -qs agent "$FAKE/log"; then echo build-agent; fi
            else
                echo "$*"
            fi
            """, to: "tree/.build/release/qemu-harness")
        let ending = try run(folder.path("tree/scripts/run"), arguments)
        #expect(ending.status == 0)
        #expect(ending.output == arguments.joined(separator: " ") + "\n")
        func log() throws -> [String] {
            try String(contentsOfFile: folder.path("log"), encoding: .utf8).split(separator: "\n").map(String.init)
        }
        #expect(try log() == expected)

        // None of them says that a guest is wrong, which is what 1 would say.
        for step in expected.map({ $0.split(separator: " ")[0] }) {
            let path = step == "swift" ? "bin/swift" : "tree/scripts/\(step)"
            let working = try Data(contentsOf: folder.url.appending(path: path))
            try writeProgram(#"echo "${0##*/}${*:+ $*}" >>"$FAKE/log"; exit 1"#, to: path)
            try FileManager.default.removeItem(atPath: folder.path("log"))
            let expected: Int32 = arguments.contains("--bisect") ? 125 : 2
            #expect(try run(folder.path("tree/scripts/run"), arguments).status == expected)
            try writeProgram(String(decoding: working, as: UTF8.self), to: path)
        }
        // A name that nobody knows is for the program to refuse.
        guard expected.contains("guest-kernel 6.1") else { return }
        try writeProgram(#"echo "${0##*/}" >>"$FAKE/log"; exit 64"#, to: "tree/scripts/guest-kernel")
        #expect(try run(folder.path("tree/scripts/run"), arguments).status == 0)
    }

    /// The record says how to do it again in the words that were typed.
    @Test func theProgramIsCalledAsTheScriptWas() throws {
        for name in ["run", "setup", "build-agent", "guest-kernel"] {
            let path = try folder.write([], to: "tree/scripts/\(name)")
            try FileManager.default.removeItem(atPath: path)
            if name != "run" { try writeProgram("", to: "tree/scripts/\(name)") }
        }
        try FileManager.default.copyItem(
            at: Self.scripts.appending(path: "run"), to: folder.url.appending(path: "tree/scripts/run"))
        try writeProgram("", to: "bin/swift")
        // A program that says by which name it was called: a shell does of what it does not find.
        try FileManager.default.createDirectory(
            at: folder.url.appending(path: "tree/.build/release"), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("tree/.build/release/qemu-harness"), withDestinationPath: "/bin/bash")
        let ending = try run(folder.path("tree/scripts/run"), ["-c", "echo $BASH_ARGV0"])
        #expect(ending.output == folder.path("tree/scripts/run") + "\n")
    }

    // MARK: - scripts/install

    /// A tree whose parts are stand-ins: what is built of it is a script.
    private func writeTree() throws {
        for name in ["install", "guest-kernel", "guest-tools", "ppc64el-apt", "build-big-endian-kernel"] {
            let target = folder.url.appending(path: "tree/scripts/\(name)")
            try? FileManager.default.createDirectory(
                at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
            try FileManager.default.copyItem(at: Self.scripts.appending(path: name), to: target)
        }
        for name in ["plans", "docs", "LICENSE"] {
            try FileManager.default.copyItem(
                at: Self.scripts.deletingLastPathComponent().appending(path: name),
                to: folder.url.appending(path: "tree/\(name)"))
        }
        try writeProgram("", to: "tree/scripts/setup")
        try writeProgram(#"echo "$FAKE/tree/guest""#, to: "tree/scripts/build-agent")
        for name in ["agent-ppc64", "agent-ppc64le", "initramfs-ppc64.cpio.gz", "initramfs-ppc64le.cpio.gz"] {
            try folder.write([1], to: "tree/guest/\(name)")
        }
        try writeProgram(#"echo "program $*""#, to: "tree/.build/install/release/qemu-harness")
        try writeProgram("", to: "bin/swift")
        try writeProgram(#"cp -- "$4" "$2""#, to: "bin/strip")
    }

    /// All files under a folder, by their paths in it.
    private func files(under path: String) throws -> Set<String> {
        let all = try FileManager.default.subpathsOfDirectory(atPath: folder.path(path))
        return Set(
            all.filter { name in
                (try? FileManager.default.attributesOfItem(atPath: folder.path("\(path)/\(name)"))[.type])
                    as? FileAttributeType == .typeRegular
            })
    }

    @Test func installsAndUninstalls() throws {
        try writeTree()
        try folder.write([1], to: "prefix/bin/another")
        let prefix = folder.path("prefix")
        let ending = try run(folder.path("tree/scripts/install"), [prefix])
        #expect(ending.status == 0, "\(ending.errors)")
        #expect(ending.errors.contains("\(prefix)/bin is not on PATH"))
        #expect(ending.errors.contains("\(prefix)/share/qemu-harness/scripts/guest-kernel"))
        let installed = try files(under: "prefix")
        for name in [
            "bin/qemu-harness", "share/man/man1/qemu-harness.run.1", "share/zsh/site-functions/_qemu-harness",
            "share/bash-completion/completions/qemu-harness", "share/fish/vendor_completions.d/qemu-harness.fish",
            "share/qemu-harness/plans/first-light.yaml", "share/qemu-harness/scripts/guest-kernel",
            "share/qemu-harness/guest/initramfs-ppc64.cpio.gz", "share/qemu-harness/guest/agent-ppc64le",
        ] {
            #expect(installed.contains(name), "\(name)")
        }
        let completion = try String(
            contentsOfFile: prefix + "/share/zsh/site-functions/_qemu-harness", encoding: .utf8)
        #expect(completion == "program --generate-completion-script zsh\n")
        let list = try String(contentsOfFile: prefix + "/share/qemu-harness/files", encoding: .utf8)
        let listed = Set(list.split(separator: "\n").map(String.init))
        #expect(installed == listed.union(["share/qemu-harness/files", "bin/another"]))

        // A newer one has no such plan any more.
        try FileManager.default.removeItem(atPath: folder.path("tree/plans/numa.yaml"))
        #expect(try run(folder.path("tree/scripts/install"), [prefix]).status == 0)
        #expect(try files(under: "prefix") == installed.subtracting(["share/qemu-harness/plans/numa.yaml"]))

        #expect(try run(folder.path("tree/scripts/install"), ["--uninstall", prefix]).status == 0)
        #expect(try files(under: "prefix") == ["bin/another"])
        #expect(!FileManager.default.fileExists(atPath: prefix + "/share/qemu-harness"))
        #expect(try run(folder.path("tree/scripts/install"), ["--uninstall", prefix]).status == 2)
    }

    /// What is named in a list is removed nowhere but where an installation has its files.
    @Test func aListIsNotBelieved() throws {
        try writeTree()
        try folder.write([1], to: "outside")
        try folder.write([1], to: "prefix/bin/another")
        let list = "../outside\nbin/another\nshare/../../outside\n/etc/hostname\nshare/qemu-harness/../../../outside\n"
        try folder.write(Array(list.utf8), to: "prefix/share/qemu-harness/files")
        let prefix = folder.path("prefix")
        #expect(try run(folder.path("tree/scripts/install"), ["--uninstall", prefix]).status == 0)
        #expect(FileManager.default.fileExists(atPath: folder.path("outside")))
        #expect(FileManager.default.fileExists(atPath: "/etc/hostname"))
        #expect(try files(under: "prefix") == ["bin/another"])
    }

    @Test func whatCannotBeWrittenIsNotBuilt() throws {
        try writeTree()
        try writeProgram(#"echo built >"$FAKE/built""#, to: "bin/swift")
        try folder.write([1], to: "file")
        let ending = try run(folder.path("tree/scripts/install"), [folder.path("file")])
        #expect(ending.status == 2)
        #expect(ending.errors.contains("cannot write to \(folder.path("file"))"))
        #expect(!FileManager.default.fileExists(atPath: folder.path("built")))
    }

    // MARK: - scripts/guest-kernel

    /// Stands in for apt: `targets` are the machine's sources, `broken` the suites that cannot be fetched, and
    /// `show/SUITE/PACKAGE` what they have.
    private func writeApt(targets: String, broken: [String] = [], show: [String: String]) throws {
        try folder.write(Array(targets.utf8), to: "targets")
        try folder.write(Array(broken.joined(separator: "\n").utf8), to: "broken")
        for (name, text) in show { try folder.write(Array(text.utf8), to: "show/\(name)") }
        let suite = #"""
            for option; do
                case $option in Dir::Etc::sourceparts=*) parts=${option#*=} ;; esac
            done
            suite=$(sed -n 's/^Suites: //p' "${parts:-/nonexistent}"/*.sources 2>/dev/null || true)
            """#
        try writeProgram(
            suite + #"""

                case " $* " in
                    *' indextargets '*) cat "$FAKE/targets" ;;
                    *' update '*)
                        cat "$parts"/*.sources >>"$FAKE/sources"
                        ! grep -qxF "$suite" "$FAKE/broken" ;;
                    *' download '*) for last; do case $last in linux-*=*) touch "${last%%=*}.deb" ;; esac; done ;;
                esac
                """#, to: "bin/apt-get")
        try writeProgram(
            suite + #"""

                for last; do :; done
                cat "$FAKE/show/$suite/${last%%=*}" || exit 100
                """#, to: "bin/apt-cache")
        // A package holds a file of its own name and suite's.
        try writeProgram(
            #"""
            for last; do :; done
            name=${last##*/} name=${name%.deb}
            mkdir -p "$FAKE/tree"; rm -rf "$FAKE/tree"/*; mkdir -p "$FAKE/tree/boot"
            case $name in
                linux-binary-*) echo kernel >"$FAKE/tree/boot/vmlinuz" ;;
                linux-base-*) echo options >"$FAKE/tree/boot/config" ;;
                *-empty) ;;
                *) echo kernel >"$FAKE/tree/boot/vmlinux-x"; echo options >"$FAKE/tree/boot/config-x" ;;
            esac
            touch "$FAKE/tree/module.ko"
            tar -c -C "$FAKE/tree" .
            """#, to: "bin/dpkg-deb")
    }

    private static let debian = "http://site /etc/none:1 main bookworm Debian\n"
    private static func meta(_ image: String, _ version: String) -> String { "Depends: \(image) (= \(version))\n" }

    struct Archive: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let name: String
        var broken: [String] = []
        let show: [String: String]
        /// `package`, or the end of what is said.
        let package: String?
        var message = ""
    }

    private static let powerpc = "linux-image-powerpc64le"

    private static let archives = [
        Archive(
            testDescription: "the newest of the series", name: "6.1",
            show: [
                "bookworm/\(powerpc)": meta("linux-image-6.1.0-9-x", "6.1.9-1")
                    + meta("linux-image-6.1.0-50-x", "6.1.176-1")
                    + meta("linux-image-6.12-x", "6.12.1-1")
            ], package: "linux-image-6.1.0-50-x 6.1.176-1 bookworm"),
        Archive(
            testDescription: "a suite that is out of sync is passed over", name: "6.12-4k",
            broken: ["bookworm-backports"],
            show: [
                "bookworm-backports/\(powerpc)": meta("linux-image-6.12-b", "6.12.1-1"),
                "trixie/\(powerpc)": meta("linux-image-6.12-t", "6.12.95-1"),
            ], package: "linux-image-6.12-t 6.12.95-1 trixie"),
        Archive(
            testDescription: "a suite without the series is passed over", name: "6.12-64k",
            show: [
                "bookworm-backports/\(powerpc)-64k": meta("linux-image-6.13-b", "6.13.1-1"),
                "trixie/\(powerpc)-64k": meta("linux-image-6.12-t", "6.12.95-1"),
            ], package: "linux-image-6.12-t 6.12.95-1 trixie"),
        Archive(
            testDescription: "an image that is in packages of its own", name: "unstable-4k",
            show: [
                "unstable/\(powerpc)": meta("linux-image-7.2+x-empty", "7.2-1"),
                "unstable/linux-image-7.2+x-empty":
                    "Depends: dracut | initramfs-tools (>= 0.1), linux-base-7.2+x-empty (= 7.2-1), "
                    + "linux-binary-7.2+x-empty (= 7.2-1), linux-modules-7.2+x-empty (= 7.2-1)\n",
            ], package: "linux-image-7.2+x-empty 7.2-1 unstable"),
        Archive(
            testDescription: "another series than the one that is asked for", name: "7-4k",
            show: ["unstable/\(powerpc)": meta("linux-image-8.0-x", "8.0-1")], package: nil,
            message: "no 7-4k in unstable trixie-backports of this machine's package sources"),
        Archive(
            testDescription: "a package without a kernel", name: "unstable-4k",
            show: ["unstable/\(powerpc)": meta("linux-image-7.2-empty", "7.2-1")], package: nil,
            message: "linux-image-7.2-empty 7.2-1 holds 0 kernels and 0 configurations; one of each is wanted"),
        Archive(
            testDescription: "no suite has it", name: "6.12-4k", broken: ["trixie"], show: [:], package: nil,
            message: "no 6.12-4k in bookworm-backports trixie of this machine's package sources"),
    ]

    @Test(arguments: archives) func kernelsComeFromTheFirstSuiteThatHasThem(archive: Archive) throws {
        try writeApt(targets: Self.debian, broken: archive.broken, show: archive.show)
        let ending = try run(Self.scripts.appending(path: "guest-kernel").path, [archive.name])
        let kernel = folder.path(".cache/qemu-harness/kernels/\(archive.name)")
        if let package = archive.package {
            #expect(ending.status == 0, "\(ending.errors)")
            #expect(ending.output == kernel + "/vmlinux\n")
            #expect(try String(contentsOfFile: kernel + "/package", encoding: .utf8) == package + "\n")
            #expect(try String(contentsOfFile: kernel + "/vmlinux", encoding: .utf8) == "kernel\n")
            #expect(try String(contentsOfFile: kernel + "/config", encoding: .utf8) == "options\n")
        } else {
            #expect(ending.status == 1)
            #expect(ending.errors.contains("guest-kernel: \(archive.message)"), "\(ending.errors)")
            #expect(!FileManager.default.fileExists(atPath: kernel))
        }
        // Nothing of the work is left.
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path(".cache/qemu-harness/kernels"))
        #expect(left.filter { $0.hasSuffix(".tmp") } == [])
    }

    /// The keys by which a suite is verified are the ones of the machine's own source, however it names them.
    @Test(
        arguments: [
            (
                "deb [arch=amd64 signed-by=/k/one.gpg,/k/two.gpg] http://site bookworm main\n", 1, "list",
                "/k/one.gpg /k/two.gpg"
            ),
            ("# first\ndeb http://site bookworm main\n", 2, "list", nil),
            ("deb [signed-by=/k/other.gpg] http://other x main\ndeb http://site bookworm main\n", 2, "list", nil),
            (
                "# only a comment\n\nTypes: deb\nURIs: x\nSigned-By: /k/x.gpg\n\n# c\nURIs: y\nsigned-by: /k/y.gpg\n",
                2,
                "sources", "/k/y.gpg"
            ),
            ("URIs: y\nSigned-By:\n -----BEGIN\n .\n xyz\nSuites: bookworm\n", 1, "sources", "\n -----BEGIN\n .\n xyz"),
        ] as [(String, Int, String, String?)])
    func aSuiteIsVerifiedWithTheMachinesOwnKeys(text: String, place: Int, form: String, keys: String?) throws {
        let file = try folder.write(Array(text.utf8), to: "machine.\(form)")
        try writeApt(
            targets:
                "http://other /etc/none:1 main nodistro Other\nhttp://site \(file):\(place) main bookworm Debian\n",
            show: ["bookworm/\(Self.powerpc)": Self.meta("linux-image-6.1-x", "6.1.1-1")])
        let ending = try run(Self.scripts.appending(path: "guest-kernel").path, ["6.1"])
        #expect(ending.status == 0, "\(ending.errors)")
        let sources = try String(contentsOfFile: folder.path("sources"), encoding: .utf8)
        let entry = "Types: deb\nURIs: http://site\nSuites: bookworm\nComponents: main\n"
        let expected = keys.map { "Signed-By:" + ($0.hasPrefix("\n") ? $0 : " " + $0) + "\n" } ?? ""
        #expect(sources.lowercased() == (entry + expected).lowercased())
    }

    @Test func aMachineWithoutDebianSaysSo() throws {
        try writeApt(targets: "http://site /etc/none:1 universe noble Ubuntu\n", show: [:])
        let ending = try run(Self.scripts.appending(path: "guest-kernel").path, ["6.1"])
        #expect(ending.status == 1)
        #expect(ending.errors.contains("give 'run --kernel' a kernel of your own"), "\(ending.errors)")
    }

    @Test(arguments: [
        ("guest-kernel", ["9.9"], "no kernel is called '9.9'"), ("guest-kernel", ["6.1", "x"], "usage"),
        ("setup", ["--nonsense"], "usage: setup [--build]"), ("setup", ["--build", "x"], "usage"),
        ("test-release", [], "usage: test-release SUITE"), ("test-release", ["../x"], "usage"),
        ("make-fixtures", ["9.9"], "no fixture is called '9.9'"), ("make-fixtures", ["--into"], "usage"),
        ("install", ["/a", "/b"], "usage: install [--uninstall] [PREFIX]"), ("install", ["--prefix"], "usage"),
        ("man-pages", ["--date"], "usage: man-pages [--check]"),
    ])
    func wrongUseIs64(script: String, arguments: [String], message: String) throws {
        let ending = try run(Self.scripts.appending(path: script).path, arguments)
        #expect(ending.status == 64)
        #expect(ending.errors.contains(message), "\(ending.errors)")
    }
}
