import java.io.IOException;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.IntSupplier;

/** What GET /stats tells. Counters for several threads. */
final class Stats {
    final AtomicLong accepted = new AtomicLong(), requests = new AtomicLong();
    final AtomicInteger active = new AtomicInteger();
    final AtomicInteger virtualThreads = new AtomicInteger(); // ours; the JVM keeps no count of them

    private final String variant;
    private final Integer instance;
    private final IntSupplier held;
    private final Map<String, Integer> errors = new TreeMap<>(); // guarded by itself
    private final ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    private final List<GarbageCollectorMXBean> collectors = ManagementFactory.getGarbageCollectorMXBeans();

    /** @param held asks how many wait in /hold */
    Stats(String variant, Config config, IntSupplier held) {
        this.variant = variant;
        this.instance = config.instance();
        this.held = held;
    }

    // Java keeps the C library's sentence and forgets the number; these are those of a socket of ours.
    private static final Map<String, String> ERRNO = Map.ofEntries(
            Map.entry("Too many open files", "EMFILE"),
            Map.entry("Too many open files in system", "ENFILE"),
            Map.entry("No buffer space available", "ENOBUFS"),
            Map.entry("Cannot allocate memory", "ENOMEM"),
            Map.entry("Software caused connection abort", "ECONNABORTED"),
            Map.entry("Connection reset by peer", "ECONNRESET"),
            Map.entry("Connection reset", "ECONNRESET"), // the JDK's own words, once it knows
            Map.entry("Broken pipe", "EPIPE"),
            Map.entry("Connection timed out", "ETIMEDOUT"),
            Map.entry("No route to host", "EHOSTUNREACH"),
            Map.entry("Invalid argument", "EINVAL"));

    void count(IOException error) {
        String sentence = String.valueOf(error.getMessage());
        String name = ERRNO.getOrDefault(sentence, sentence);
        synchronized (errors) {
            errors.merge(name, 1, Integer::sum);
        }
    }

    // Both without a descriptor, so that they can be told at EMFILE too. null: cannot be counted.

    private static Long countDescriptors() {
        try {
            long size = Files.size(Path.of("/proc/self/fd")); // the number of entries since Linux 6.2, before that 0
            if (size > 0)
                return size;
            try (var entries = Files.list(Path.of("/proc/self/fd"))) {
                return entries.count() - 1; // without the one that reads the folder
            }
        } catch (IOException e) {
            return null;
        }
    }

    private static Integer countThreads() {
        try {
            return (Integer) Files.getAttribute(Path.of("/proc/self/task"), "unix:nlink") - 2; // "." and ".."
        } catch (IOException e) {
            return null;
        }
    }

    private static String quote(String text) {
        return '"' + text.replaceAll("[\\\\\"\\p{Cntrl}]", "?") + '"';
    }

    String render() {
        long cycles = 0, pauseMs = 0;
        for (GarbageCollectorMXBean collector : collectors) { // young and old; under the serial collector each stops all
            cycles += collector.getCollectionCount();
            pauseMs += collector.getCollectionTime();
        }
        Runtime runtime = Runtime.getRuntime();
        StringBuilder text = new StringBuilder(400);
        text.append("{\"variant\": ").append(quote(variant))
                .append(", \"instance\": ").append(instance)
                .append(", \"accepted\": ").append(accepted)
                .append(", \"active\": ").append(active)
                .append(", \"held\": ").append(held.getAsInt())
                .append(", \"requests\": ").append(requests)
                .append(", \"errors\": {");
        synchronized (errors) {
            String comma = "";
            for (Map.Entry<String, Integer> error : errors.entrySet()) {
                text.append(comma).append(quote(error.getKey())).append(": ").append(error.getValue());
                comma = ", ";
            }
        }
        return text.append("}, \"open_fds\": ").append(countDescriptors())
                .append(", \"threads\": ").append(countThreads()) // the kernel's: also the JVM's compilers and collector
                .append(", \"jvm_threads\": ").append(threads.getThreadCount() + virtualThreads.get())
                .append(", \"gc_cycles\": ").append(cycles)
                .append(", \"gc_pause_s\": ").append(pauseMs / 1000.0)
                .append(", \"heap_bytes\": ").append(runtime.totalMemory() - runtime.freeMemory())
                .append('}').toString();
    }
}
