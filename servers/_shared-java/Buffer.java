import java.util.Arrays;

/** Bytes that come in at the end and go out at the start. Holds no memory while it is empty. Not for several threads. */
final class Buffer {
    private static final byte[] NONE = new byte[0];
    private static final int LEAST = 512; // most requests and replies fit

    byte[] data = NONE;
    int start, end;

    int size() {
        return end - start;
    }

    boolean isEmpty() {
        return start == end;
    }

    /** Makes room for `more` bytes at data[end]; moves or copies what is there. */
    void reserve(int more) {
        if (data.length - end >= more)
            return;
        int size = size();
        if (start > 0 && data.length - size >= more) {
            System.arraycopy(data, start, data, 0, size);
        } else {
            int room = Math.max(LEAST, data.length);
            while (room < size + more)
                room *= 2;
            byte[] old = data;
            data = new byte[room];
            System.arraycopy(old, start, data, 0, size);
        }
        start = 0;
        end = size;
    }

    Buffer put(byte[] from, int at, int len) {
        reserve(len);
        System.arraycopy(from, at, data, end, len);
        end += len;
        return this;
    }

    Buffer put(byte[] from) {
        return put(from, 0, from.length);
    }

    /** @param number not negative */
    Buffer putNumber(int number) {
        reserve(10); // 2,147,483,647
        int digits = 1;
        for (int rest = number / 10; rest > 0; rest /= 10)
            digits++;
        for (int at = end + digits - 1; at >= end; at--) {
            data[at] = (byte) ('0' + number % 10);
            number /= 10;
        }
        end += digits;
        return this;
    }

    void skip(int len) {
        start += len;
        if (start == end)
            start = end = 0;
    }

    /** Gives the memory back; an idle connection then costs what its socket costs. */
    void release() {
        data = NONE;
        start = end = 0;
    }

    byte[] toArray() {
        return Arrays.copyOfRange(data, start, end);
    }
}
