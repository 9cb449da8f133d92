/**
 * What is due next: a binary heap of timers that know their place in it, so that one among ten thousand can be moved or
 * taken out in log n steps. (java.util.PriorityQueue would have to search for it.) For one thread.
 */
final class Timers {
    abstract static class Timer {
        private long dueNs;
        private int place = -1; // in the heap; -1: not set

        /** Called once when it is due; it is no longer set then. */
        abstract void fire();
    }

    private Timer[] heap = new Timer[64];
    private int size;

    void set(Timer timer, long delayMs) {
        cancel(timer);
        timer.dueNs = System.nanoTime() + delayMs * 1_000_000;
        if (size == heap.length)
            heap = java.util.Arrays.copyOf(heap, size * 2);
        moveUp(timer, size++);
    }

    void cancel(Timer timer) {
        int place = timer.place;
        if (place < 0)
            return;
        timer.place = -1;
        Timer last = heap[--size];
        heap[size] = null;
        if (last == timer)
            return;
        moveUp(last, place);
        moveDown(last, last.place);
    }

    /** Returns how long the loop may sleep: -1 for ever, 0 not at all; rounded up, or it would wake too early and spin. */
    long msToNext() {
        if (size == 0)
            return -1;
        long leftNs = heap[0].dueNs - System.nanoTime();
        return leftNs <= 0 ? 0 : (leftNs + 999_999) / 1_000_000;
    }

    /** Fires what is due now, but nothing that is only set by what fires here: that would keep sockets waiting. */
    void fireDue() {
        long nowNs = System.nanoTime();
        while (size > 0 && heap[0].dueNs - nowNs <= 0) {
            Timer first = heap[0];
            cancel(first);
            first.fire();
        }
    }

    private void put(Timer timer, int place) {
        heap[place] = timer;
        timer.place = place;
    }

    private void moveUp(Timer timer, int place) {
        while (place > 0 && heap[(place - 1) / 2].dueNs - timer.dueNs > 0) {
            put(heap[(place - 1) / 2], place);
            place = (place - 1) / 2;
        }
        put(timer, place);
    }

    private void moveDown(Timer timer, int place) {
        while (true) {
            int child = 2 * place + 1;
            if (child + 1 < size && heap[child + 1].dueNs - heap[child].dueNs < 0)
                child++;
            if (child >= size || heap[child].dueNs - timer.dueNs >= 0)
                break;
            put(heap[child], place);
            place = child;
        }
        put(timer, place);
    }
}
