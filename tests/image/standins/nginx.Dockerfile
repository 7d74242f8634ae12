FROM standin/nginx
RUN groupadd --system --gid 101 nginx; useradd --system --gid 101 --no-create-home --home-dir /nonexistent --shell /bin/false --uid 101 nginx; \
    chown -R 101:0 /etc/nginx && ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log
EXPOSE 8080
STOPSIGNAL SIGQUIT
USER 101
CMD ["nginx", "-g", "daemon off;"]
