/** One whole request, ready to be answered. */
final class Request {
    enum Route { PLAIN, DELAY, HOLD, RELEASE, ECHO, HEALTHZ, STATS, FAIL }

    Route route = Route.FAIL;
    int status; // why it failed, with FAIL
    boolean isBroken; // what follows it cannot be told apart: reply, then close
    boolean isHead, isHttp10, keepAlive;
    String allow; // with 405
    int delayMs; // with DELAY
    byte[] body; // body and its place are right until more input is read
    int bodyAt, bodyLen;

    void fail(int status) {
        this.route = Route.FAIL;
        this.status = status;
    }
}
